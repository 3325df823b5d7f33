"""Calls a function repeatedly in a background thread."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.chaos.beside import in_background


def repeated(does: Callable[[], object], *, every: float, name: str) -> AbstractContextManager[None]:
    """Calls the function repeatedly in a thread during the block.

    Args:
        does: The function.
        every: Seconds to wait before each call.
        name: The name of the thread.
    """

    def repeat(over: threading.Event) -> None:
        while not over.wait(every):
            does()

    return in_background(repeat, name=name)
