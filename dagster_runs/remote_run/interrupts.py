"""Dagster's termination signal, held back while a start is between the vendor and the ledger."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a signal that comes inside the block take effect at its end.

    Dagster turns SIGINT and SIGTERM into an exception in the main thread, at any line. Between the request that
    starts a run and the record of its id, that exception would lose the run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: the handler was installed by C code and cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if held:
            signal.raise_signal(held[0])
