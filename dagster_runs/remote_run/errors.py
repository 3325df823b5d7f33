"""The errors of remote runs. Each is also a `dagster.Failure`, so that Dagster respects ``allow_retries``."""

from functools import cache
from typing import Any, ClassVar

import dagster as dg

from dagster_runs.transport.errors import VendorError


class RemoteRunError(VendorError, dg.Failure):
    """A remote run did not succeed.

    Attributes:
        run_id: The vendor's id of the run, if known.
        allow_retries: Whether Dagster's retry policy may retry the step.
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
    """The vendor reports that the run failed."""

    retryable = True


class RunCanceled(RemoteRunError):
    """The run was canceled at the vendor, but not by this step."""

    retryable = True


class RunLost(RemoteRunError):
    """The vendor no longer knows a run that it had started."""

    retryable = True


class RunTerminated(RemoteRunError):
    """The Dagster run was terminated by a user, or because it exceeded its maximum runtime. Never retried."""


class RunTimedOut(RemoteRunError):
    """The run did not finish within its timeout."""


class RunConflict(RemoteRunError):
    """Another run of the same target, which this step did not start, prevents the start."""


class StartOutcomeUnknown(RemoteRunError):
    """The response to the start was lost, and the vendor offers no way to find out whether a run was started.

    After you have checked that at the vendor, ``dagster-runs adopt`` records the result, and re-executing from failure
    attaches to the run or starts one.
    """


def as_step_failure(error: VendorError) -> BaseException:
    """Returns what a step should raise: a failure without retries if ``error`` is permanent, otherwise ``error``.

    The latter becomes a `dagster.Failure` too. Dagster shows the message of a failure, while it wraps any other error
    in one of its own, whose message says nothing. The cause of a bug is kept: its traceback says where the bug is.
    """
    if error.is_permanent and not isinstance(error, dg.Failure):
        failure = dg.Failure(description=str(error), allow_retries=False)
        failure.__cause__ = error
        return failure
    if isinstance(error, dg.Failure) or error.is_bug:
        return error
    kind = _as_failure(type(error))  # type: ignore[arg-type]
    same = kind.__new__(kind)
    same.__dict__.update(error.__dict__)
    dg.Failure.__init__(same, description=str(error))  # type: ignore[arg-type]
    same.args = (str(error),)
    return same


@cache
def _as_failure(kind: type[VendorError]) -> type[VendorError]:
    return type(kind.__name__, (kind, dg.Failure), {"__module__": kind.__module__, "__doc__": kind.__doc__})
