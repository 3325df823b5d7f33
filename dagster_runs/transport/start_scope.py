"""Follows the requests of one start, so that no error after an accepted request can look like a refusal."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from dagster_runs.transport.errors import InvalidRequestError, UnexpectedResponseError, VendorError


@dataclass(eq=False)
class SentStart:
    """What became of the requests that one call of `RemoteRun.start` has sent with the client.

    Attributes:
        is_idempotent: Whether sending the request twice starts one run.
        used_client: Whether a request that may start a run was passed to the client.
        may_have_been_accepted: Whether the vendor may have executed one of them.
        is_lost: Whether the outcome of one of them is unknown.
        response: The newest successful response to one of them.
    """

    is_idempotent: bool = False
    used_client: bool = False
    may_have_been_accepted: bool = False
    is_lost: bool = False
    response: Any = field(default=None, repr=False)

    def add(self, other: "SentStart") -> None:
        """Adds the requests of another start, which was made inside this one."""
        self.used_client |= other.used_client
        self.may_have_been_accepted |= other.may_have_been_accepted
        self.is_lost |= other.is_lost

    def apply_to(self, error: VendorError) -> None:
        """Corrects what an error says about the start that it ends.

        A later call may have failed after the request that started the run, and the vendor's code may have replaced
        the client's error by one of its own. Only `ApiResponse.refused` of the response to that request says that it
        started nothing.
        """
        if error.refused_response is not None and error.refused_response is self.response:
            return
        # The vendor's code may have sent a request by other means, and raised an error that says nothing about it.
        is_unclear = not self.used_client and not error.is_from_client and not error.is_permanent
        if self.may_have_been_accepted or is_unclear:
            error.may_have_been_accepted = True


_current: ContextVar[SentStart | None] = ContextVar("dagster_runs_start", default=None)
_active: set[SentStart] = set()
"""The starts in progress in this process. A thread that a start has created does not inherit `_current`."""
_active_lock = threading.Lock()


@contextmanager
def follow_start(*, is_idempotent: bool) -> Iterator[SentStart]:
    """Follows the client's requests inside the block, which is one start.

    Args:
        is_idempotent: Whether sending the request twice starts one run.
    """
    sent, outer = SentStart(is_idempotent), _current.get()
    token = _current.set(sent)
    with _active_lock:
        _active.add(sent)
    try:
        yield sent
    finally:
        with _active_lock:
            _active.discard(sent)
        _current.reset(token)
        if outer is not None:
            outer.add(sent)


def _possible_starts() -> list[SentStart]:
    """Returns the start that this thread is part of, or else all that it may be part of."""
    current = _current.get()
    if current is not None:
        return [current]
    with _active_lock:
        return list(_active)


class SendingOnce:
    """Records what becomes of one request that may start a run."""

    def __init__(self, starts: list[SentStart]) -> None:
        self._starts = starts

    def succeeded(self, response: Any) -> None:
        """Records that the vendor has accepted the request."""
        for one in self._starts:
            one.may_have_been_accepted, one.response = True, response


@contextmanager
def sending_once(*, vendor: str) -> Iterator[SendingOnce]:
    """Records what becomes of the request that the block sends.

    Raises:
        UnexpectedResponseError: The same start has sent a request whose outcome is unknown, so a second one may start a
            second run. Nothing was sent.
    """
    starts = _possible_starts()
    if any(one.is_lost and not one.is_idempotent for one in starts):
        raise UnexpectedResponseError(
            "start() sends another request, although its first one may have started a run. The second one was not sent",
            vendor=vendor,
            hint="Leave it to this package to decide whether a start is sent again.",
            may_have_been_accepted=True,
            is_from_client=True,
        )
    for one in starts:
        one.used_client = True
    try:
        yield SendingOnce(starts)
    except VendorError as error:
        for one in starts:
            one.may_have_been_accepted |= error.may_have_been_accepted
            one.is_lost |= error.may_have_been_accepted
        raise
    except BaseException:
        for one in starts:
            one.may_have_been_accepted = one.is_lost = True
        raise


def check_repeatable(method: str, *, vendor: str, starts_nothing: bool) -> None:
    """Refuses a call that may start a run and that the client would repeat.

    Raises:
        InvalidRequestError: The call is part of a start, and is neither a GET nor said to start nothing.
    """
    if starts_nothing or method == "GET":
        return
    if _current.get() is None:
        for one in _possible_starts():  # it may be a call of a thread of one of them
            one.may_have_been_accepted = True
        return
    raise InvalidRequestError(
        f"start() sends a {method} with send_repeatable(), which sends it again after a failure and so may start a "
        "second run. Nothing was sent",
        vendor=vendor,
        hint="Use send_once() or post_once() for the request that starts the run, and starts_nothing=True for another "
        "one, such as a search by POST.",
    )
