"""Something that is done again and again while something else goes on."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.chaos.beside import beside


def repeated(does: Callable[[], object], *, every: float, name: str) -> AbstractContextManager[None]:
    """Inside the block it is done in a thread.

    Args:
        does: What.
        every: Seconds of pause before each time.
        name: The thread's.
    """

    def repeat(over: threading.Event) -> None:
        while not over.wait(every):
            does()

    return beside(repeat, name=name)
