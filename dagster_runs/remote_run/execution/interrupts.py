"""Delays Dagster's termination signal while its handling would lose a run."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


@contextmanager
def hold_interrupts(*, forget: bool = False) -> Iterator[None]:
    """Delays signals that arrive inside the block until the block ends.

    Dagster turns SIGINT and SIGTERM into an exception in the main thread, at any line. Between the request that starts
    a run and the record of its id, that exception would lose the run.

    Args:
        forget: Discard the signals instead. Used when this process is already stopping, so that a second signal
            changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are delivered only to the main thread
        return
    held: list[int] = []
    before: dict[signal.Signals, _Handler] = {}

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    try:
        for number in _SIGNALS:
            before[number] = signal.getsignal(number)
            signal.signal(number, hold)
        yield
    finally:
        for number, handler in before.items():
            # None: the handler was installed by C code and cannot be restored from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if held and not forget:
            signal.raise_signal(held[0])
