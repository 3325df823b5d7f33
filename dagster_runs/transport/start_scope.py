"""Follows the requests of one start, so that no error after an accepted request can look like a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from dagster_runs.transport.errors import InvalidRequestError, VendorError


@dataclass
class SentStart:
    """What became of the requests that one call of `RemoteRun.start` has sent with the client.

    Attributes:
        used_client: Whether a request that may start a run was passed to the client.
        may_have_been_accepted: Whether the vendor may have executed one of them.
    """

    used_client: bool = False
    may_have_been_accepted: bool = False

    def apply_to(self, error: VendorError) -> None:
        """Corrects what an error says about the start that it ends.

        A later call may have failed after the request that started the run, and the vendor's code may have replaced
        the client's error by one of its own. Only `ApiResponse.refused` says that an accepted request started nothing.
        """
        if error.is_refusal:
            return
        # The vendor's code may have sent a request by other means, and raised an error that says nothing about it.
        is_unclear = not self.used_client and error.method is None and not error.is_permanent
        if self.may_have_been_accepted or is_unclear:
            error.may_have_been_accepted = True


_current: ContextVar[SentStart | None] = ContextVar("dagster_runs_start", default=None)


@contextmanager
def follow_start() -> Iterator[SentStart]:
    """Follows the client's requests inside the block, which is one start."""
    sent = SentStart()
    token = _current.set(sent)
    try:
        yield sent
    finally:
        _current.reset(token)


@contextmanager
def outside_start() -> Iterator[None]:
    """Does not count the calls inside the block as part of a start: they fetch a token."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def sending_once() -> Iterator[None]:
    """Records whether the request that the block sends may have been accepted."""
    sent = _current.get()
    if sent is None:
        yield
        return
    sent.used_client = True
    try:
        yield
    except VendorError as error:
        sent.may_have_been_accepted |= error.may_have_been_accepted
        raise
    except BaseException:
        sent.may_have_been_accepted = True
        raise
    sent.may_have_been_accepted = True


def check_repeatable(method: str, *, vendor: str, starts_nothing: bool) -> None:
    """Refuses a call that may start a run and that the client would repeat.

    Raises:
        InvalidRequestError: The call is part of a start, and is neither a GET nor said to start nothing.
    """
    if _current.get() is None or starts_nothing or method == "GET":
        return
    raise InvalidRequestError(
        f"start() sends a {method} with send_repeatable(), which sends it again after a failure and so may start a "
        "second run. Nothing was sent",
        vendor=vendor,
        hint="Use send_once() or post_once() for the request that starts the run, and starts_nothing=True for another "
        "one, such as a search by POST.",
    )
