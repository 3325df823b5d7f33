"""Runs a function in a background thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(does: Callable[[threading.Event], None], *, name: str) -> Iterator[None]:
    """Runs the function in a thread during the block.

    Args:
        does: The function; it must return once the event is set, which happens at the end of the block.
        name: The name of the thread.
    """
    over = threading.Event()
    thread = threading.Thread(target=does, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
