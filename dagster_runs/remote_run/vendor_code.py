"""Turns errors of a vendor's code, and wrong return values, into a `VendorError` without secrets."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import RunResult, StartCandidate, as_run_id
from dagster_runs.transport.errors import UnexpectedResponseError, VendorError
from dagster_runs.transport.redaction import Redactor
from dagster_runs.transport.start_scope import follow_start

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun
    from dagster_runs.remote_run.resource import RemoteRunResource

_MAX_PLACES = 3
_logger = logging.getLogger(__name__)


class VendorCodeError(UnexpectedResponseError):
    """The code of a vendor raised an error of its own, or returned something that it must not return."""

    default_hint = "This is a mistake in the code of the vendor's run or resource, not in your definitions."
    is_permanent = True


@contextmanager
def vendor_code(
    run: "RemoteRun[Any]", resource: "RemoteRunResource", method: str, *, may_have_been_accepted: bool = False
) -> Iterator[None]:
    """Turns an unexpected error of a vendor's code inside the block into a `VendorError`, which every caller handles.

    Args:
        run: The run.
        resource: The resource, whose secrets are removed from the error.
        method: The method that the block calls.
        may_have_been_accepted: Whether the block may have started a run.

    Raises:
        VendorCodeError: The code raised another error.
        UnexpectedResponseError: The code made a call by other means than the resource's client, and it failed.
    """
    try:
        yield
    except (dg.Failure, dg.DagsterError):
        raise
    except VendorError as error:
        _hide_secrets(error, resource)
        raise
    except Exception as error:  # noqa: BLE001 - of code that is not ours; it is raised again as one of ours
        # OSError includes the errors of requests and of sockets: an outage, which says nothing about the run.
        kind = UnexpectedResponseError if isinstance(error, OSError) else VendorCodeError
        raised = f"{type(run).__name__}.{method}() raised {type(error).__name__}"
        # Without the error itself as the cause: its text may contain a secret, such as a key in a URL of requests.
        raise kind(
            f"{raised}: {without_secrets(resource, str(error))}{_place(error)}",
            vendor=run.vendor,
            may_have_been_accepted=may_have_been_accepted,
        ) from None


@contextmanager
def start_code(run: "RemoteRun[Any]", resource: "RemoteRunResource") -> Iterator[None]:
    """Like `vendor_code`, for a start: an error counts as a refusal only if no request can have been accepted."""
    with follow_start() as sent:
        try:
            with vendor_code(run, resource, "start", may_have_been_accepted=True):
                yield
        except VendorError as error:
            sent.apply_to(error)
            raise


def without_secrets(resource: "RemoteRunResource", text: str) -> str:
    """Returns a text of a vendor's code without the resource's secrets and without its client's tokens."""
    with suppress(Exception):  # of the resource's own code or settings; then no token was used either
        text = resource.http().clean(text)
    return Redactor(_secrets_of(resource)).clean(text)


def _secrets_of(resource: "RemoteRunResource") -> Iterator[str | None]:
    for name in resource.secret_fields:
        try:
            yield resource.secret(name)
        except VendorError:
            continue  # its environment variable is not set


def _hide_secrets(error: VendorError, resource: "RemoteRunResource") -> None:
    """Removes secrets from an error that the vendor's code may have made itself. The client's errors have none."""
    error.redact(lambda text: without_secrets(resource, text))
    chained = error.__cause__ or error.__context__
    if chained is not None and not isinstance(chained, VendorError):
        error.__cause__, error.__suppress_context__ = None, True


def _place(error: Exception) -> str:
    """Returns where the vendor's code raised an error: files, lines and functions, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename.replace("\\", "/") for frame in frames]
    own = [
        f"{file.rpartition('/')[2]}, line {frame.lineno}"
        for file, frame in zip(files, frames, strict=True)
        if "/dagster_runs/remote_run/" not in file and "/site-packages/" not in file
    ]
    return f" ({'; '.join(own[-_MAX_PLACES:])})" if own else ""


def page_of(run: "RemoteRun[Any]", resource: "RemoteRunResource", run_id: str) -> str | None:
    """Returns the URL of the run's page. A mistake in the vendor's code costs only the link."""
    try:
        with vendor_code(run, resource, "run_url"):
            url: Any = run.run_url(resource, run_id)
            if url is not None and not isinstance(url, str):
                raise _wrong(run, "run_url", url, "text or None")
    except (VendorError, dg.Failure, dg.DagsterError) as error:
        # Also one of a call that it made. It may be called between a start and its entry in the ledger.
        _logger.warning("Run %s has no link: %s", run_id, without_secrets(resource, str(error)))
        return None
    return url


def checked_run_id(run: "RemoteRun[Any]", run_id: Any) -> str:
    """Returns the id that a start returned, as text.

    Raises:
        VendorCodeError: It is not an id. The run has been started.
    """
    with suppress(TypeError):
        text = as_run_id(run_id)
        if text and text.isprintable():
            return text
    error = _wrong(run, "start", run_id, "the vendor's id of the run")
    error.may_have_been_accepted = True
    raise error


def checked_status(run: "RemoteRun[Any]", method: str, status: Any) -> RunStatus:
    """Returns the status that a vendor's code returned.

    Raises:
        VendorCodeError: It is not a `RunStatus`.
    """
    if not isinstance(status, RunStatus):
        raise _wrong(run, method, status, "a RunStatus")
    return status


def checked_result(run: "RemoteRun[Any]", result: Any) -> RunResult:
    """Returns the result that a vendor's code returned.

    Raises:
        VendorCodeError: It is not a `RunResult`.
    """
    if not isinstance(result, RunResult):
        raise _wrong(run, "fetch_result", result, "a RunResult")
    return result


def checked_progress(run: "RemoteRun[Any]", progress: Any) -> Mapping[str, Any]:
    """Returns the progress that a vendor's code returned.

    Raises:
        VendorCodeError: It is not a mapping with texts as keys.
    """
    if not isinstance(progress, Mapping) or not all(isinstance(key, str) for key in progress):
        raise _wrong(run, "fetch_progress", progress, "a mapping of metadata")
    return progress


def checked_candidates(run: "RemoteRun[Any]", found: Any) -> Sequence[StartCandidate] | None:
    """Returns the candidates that a vendor's code returned.

    Raises:
        VendorCodeError: They are not a sequence of `StartCandidate`.
    """
    if found is None:
        return None
    is_sequence = isinstance(found, Sequence) and not isinstance(found, str)
    if not is_sequence or not all(isinstance(one, StartCandidate) for one in found):
        raise _wrong(run, "find_started", found, "a list of StartCandidate, or None")
    return list(found)


def checked_target(run: "RemoteRun[Any]", target: Any) -> str | None:
    """Returns the target that a vendor's code returned for a listed run.

    Raises:
        VendorCodeError: It is neither text nor ``None``.
    """
    if target is not None and not isinstance(target, str):
        raise _wrong(run, "target_of_listed", target, "text or None")
    return target


def _wrong(run: "RemoteRun[Any]", method: str, returned: Any, expected: str) -> VendorCodeError:
    shown = repr(returned) if isinstance(returned, (str, int, float, bytes, type(None))) else type(returned).__name__
    detail = f"{type(run).__name__}.{method}() returned {shown}; it must return {expected}"
    return VendorCodeError(detail, vendor=run.vendor)
