"""How a remote run can end badly. Each is a `dagster.Failure` too, so that Dagster heeds ``allow_retries``."""

from typing import Any, ClassVar

import dagster as dg

from dagster_runs.transport.errors import VendorError


class RemoteRunError(VendorError, dg.Failure):
    """A remote run did not end well.

    Attributes:
        run_id: The vendor's id of the run, where one is known.
        allow_retries: Whether Dagster's retry policy may try again.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        vendor: str,
        run_id: str | None = None,
        hint: str = "",
        metadata: dict[str, Any] | None = None,
        is_retryable: bool = True,
    ) -> None:
        self.run_id = run_id
        VendorError.__init__(self, detail, vendor=vendor, hint=hint)
        message = str(self)
        dg.Failure.__init__(self, description=message, metadata=metadata, allow_retries=self.retryable and is_retryable)
        self.args = (message,)


class RunFailed(RemoteRunError):
    """The vendor says that the run failed."""

    retryable = True


class RunCanceled(RemoteRunError):
    """The run was cancelled at the vendor, by somebody else than this step."""

    retryable = True


class RunLost(RemoteRunError):
    """The vendor no longer knows a run that it had started."""

    retryable = True


class RunTerminated(RemoteRunError):
    """The Dagster run was terminated, by a person or a limit. Never retried."""


class RunTimedOut(RemoteRunError):
    """The run did not end within its time."""


class RunConflict(RemoteRunError):
    """Somebody else's run is in the way."""


class StartOutcomeUnknown(RemoteRunError):
    """The answer to the start was lost, and the vendor offers no way to find out whether a run began."""


def as_step_failure(error: VendorError) -> BaseException:
    """What to raise from a step for ``error``: itself, or a failure that is not retried if no retry can cure it."""
    if error.is_permanent and not isinstance(error, dg.Failure):
        failure = dg.Failure(description=str(error), allow_retries=False)
        failure.__cause__ = error
        return failure
    return error
