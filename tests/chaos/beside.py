"""Something that goes on in a thread while something else does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(does: Callable[[threading.Event], None], *, name: str) -> Iterator[None]:
    """Inside the block it goes on.

    Args:
        does: What; it returns once the event is set, which happens at the block's end.
        name: The thread's.
    """
    over = threading.Event()
    thread = threading.Thread(target=does, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
