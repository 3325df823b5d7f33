"""Something that is done again and again while something else goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(does: Callable[[], object], *, every: float, name: str) -> Iterator[None]:
    """Inside the block it is done in a thread.

    Args:
        does: What.
        every: Seconds of pause before each time.
        name: The thread's.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every):
            does()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
