"""Turns errors of a vendor's code, and wrong return values, into a `VendorError` without secrets."""

import inspect
import logging
import sysconfig
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ValidationError

from dagster_runs.remote_run.resource_secrets import clean_metadata, cleaner_of
from dagster_runs.remote_run.run_links import run_link
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import ListedRun, RunResult, StartCandidate, as_run_id
from dagster_runs.transport.errors import InvalidRequestError, UnexpectedResponseError, VendorError
from dagster_runs.transport.start_scope import follow_start

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun
    from dagster_runs.remote_run.resource import RemoteRunResource

_MAX_PLACES = 3
_NOT_OF_VENDORS = ("dagster_runs.remote_run.", "dagster.", "dagster_shared.", "pydantic.", "typing", "abc", "builtins")
_PACKAGE = str(Path(__file__).parents[1])
_LIBRARY = sysconfig.get_paths()["stdlib"]
_logger = logging.getLogger(__name__)


class VendorCodeError(UnexpectedResponseError):
    """The code of a vendor raised an error of its own, or returned something that it must not return."""

    default_hint = (
        "This is a bug in the Python classes that integrate this vendor, not in the definitions of your assets."
    )
    is_permanent = True
    is_bug = True


@contextmanager
def vendor_code(
    owner: Any, resource: "RemoteRunResource", method: str, *, may_have_been_accepted: bool = False
) -> Iterator[None]:
    """Turns an unexpected error of a vendor's code inside the block into a `VendorError`, which every caller handles.

    Args:
        owner: The run or the resource whose method the block calls.
        resource: The resource, whose secrets are removed from the error.
        method: The method that the block calls.
        may_have_been_accepted: Whether the block may have started a run.

    Raises:
        VendorCodeError: The code raised another error.
        UnexpectedResponseError: The code made a call by other means than the resource's client, and it failed.
    """
    try:
        yield
    except dg.Failure as error:
        clean = cleaner_of(resource)
        error.description = clean(error.description or "") or None
        error.args = tuple(clean(str(part)) for part in error.args)
        _forget_causes(error)
        raise
    except VendorError as error:
        if _hide_secrets(error, resource):
            raise
        # Its own class prevents that. Only its text is kept.
        raise VendorCodeError(
            f"{type(owner).__name__}.{method}() raised {type(error).__name__}{_place(error, owner, resource)}",
            vendor=resource.vendor,
            may_have_been_accepted=may_have_been_accepted,
        ) from None
    except Exception as error:  # noqa: BLE001 - of code that is not ours; it is raised again as one of ours
        # OSError includes the errors of requests and of sockets: an outage, which says nothing about the run.
        kind = UnexpectedResponseError if isinstance(error, OSError) else VendorCodeError
        raised = f"{type(owner).__name__}.{method}() raised {type(error).__name__}"
        # With its traceback, but without the error itself as the cause: its text may contain a secret, such as a key in
        # a URL of requests.
        raise kind(
            f"{raised}: {cleaner_of(resource)(_text_of(error))}{_place(error, owner, resource)}",
            vendor=resource.vendor,
            may_have_been_accepted=may_have_been_accepted,
        ).with_traceback(error.__traceback__) from None


@contextmanager
def start_code(run: "RemoteRun[Any]", resource: "RemoteRunResource") -> Iterator[None]:
    """Like `vendor_code`, for a start: an error counts as a refusal only if no request can have been accepted."""
    is_idempotent = run.start_is_idempotent
    if not isinstance(is_idempotent, bool):
        raise _wrong(run, "start_is_idempotent", is_idempotent, "True or False")
    with follow_start(is_idempotent=is_idempotent) as sent:
        try:
            with vendor_code(run, resource, "start", may_have_been_accepted=True):
                yield
        except VendorError as error:
            sent.apply_to(error)
            raise
        except dg.Failure as failure:
            # Dagster would fail the step, no matter what was sent.
            refusal = InvalidRequestError(failure.description or "start() raised dagster.Failure", vendor=run.vendor)
            sent.apply_to(refusal)
            raise refusal from None


def checked_list(
    resource: "RemoteRunResource", method: str, since: float, until: float | None, targets: Collection[str]
) -> Iterator[ListedRun] | None:
    """Calls `RemoteRunResource.list_runs` or `list_finished`, and turns mistakes of the vendor's code into errors.

    Args:
        resource: The resource.
        method: The name of the method.
        since: As for the method.
        until: As for the method.
        targets: As for the method.

    Raises:
        VendorError: The list could not be read. Also while iterating over it.
    """
    with vendor_code(resource, resource, method):
        listed = getattr(resource, method)(since, until, targets)
    return None if listed is None else _checked_entries(resource, method, listed)


def _checked_entries(resource: "RemoteRunResource", method: str, listed: Iterable[Any]) -> Iterator[ListedRun]:
    with vendor_code(resource, resource, method):
        entries = iter(listed)
    while True:
        with vendor_code(resource, resource, method):
            try:
                one: Any = next(entries)
            except StopIteration:
                return
            if not isinstance(one, ListedRun):
                raise _wrong(resource, method, one, "ListedRun entries")
        yield one


def _hide_secrets(error: VendorError, resource: "RemoteRunResource") -> bool:
    """Removes secrets from an error that the vendor's code may have made itself. Returns whether this succeeded."""
    _forget_causes(error)
    clean = cleaner_of(resource)
    try:
        error.redact(clean)
        shown = str(error)
    except Exception:  # noqa: BLE001 - of the error's own class
        return False
    return clean(shown) == shown


def _forget_causes(error: BaseException) -> None:
    """Removes the errors that led to this one, and what was added to it. Their texts may contain secrets."""
    error.__cause__ = error.__context__ = None
    error.__suppress_context__ = True
    if hasattr(error, "__notes__"):
        del error.__notes__


def _text_of(error: Exception) -> str:
    """Returns the text of an error. Pydantic quotes parts of values, and part of a secret would not be recognized."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - of the error's own class
        return "(no text)"


def _place(error: Exception, *owners: Any) -> str:
    """Returns where the vendor's code raised an error: files and lines, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    own_files = {inspect.getsourcefile(base) for owner in owners for base in type(owner).__mro__ if _is_of_vendor(base)}
    own = [frame for frame in frames if frame.filename in own_files] or [
        frame for frame in frames if not frame.filename.startswith((_PACKAGE, _LIBRARY))
    ]
    shown = (f"{Path(frame.filename).name}, line {frame.lineno}" for frame in own[-_MAX_PLACES:])
    return f" ({'; '.join(shown)})" if own else ""


def _is_of_vendor(base: type) -> bool:
    return base is not object and not base.__module__.startswith(_NOT_OF_VENDORS)


def page_of(run: "RemoteRun[Any]", resource: "RemoteRunResource", run_id: str) -> str | None:
    """Returns the URL of the run's page. A mistake in the vendor's code costs only the link."""
    try:
        with vendor_code(run, resource, "run_url"):
            template = resource.run_url_template
            url: Any = run.run_url(resource, run_id) if template is None else run_link(template, run, run_id)
            if url is not None and not isinstance(url, str):
                raise _wrong(run, "run_url", url, "a string or None")
    except (VendorError, dg.Failure) as error:
        # Also one of a call that it made. It may be called between a start and its entry in the ledger.
        _logger.warning("Run %s has no link: %s", run_id, error)
        return None
    return None if url is None else cleaner_of(resource)(url)


def checked_run_id(run: "RemoteRun[Any]", run_id: Any) -> str:
    """Returns the id that a start returned, as text.

    Raises:
        VendorCodeError: It is not an id. The run has been started.
    """
    with suppress(TypeError):
        text = as_run_id(run_id)
        if text.strip() and text.isprintable():
            return text
    error = _wrong(run, "start", run_id, "the run id that the vendor returned")
    error.may_have_been_accepted = True
    raise error


def checked_status(run: "RemoteRun[Any]", resource: "RemoteRunResource", method: str, status: Any) -> RunStatus:
    """Returns the status that a vendor's code returned, without secrets in its error.

    Raises:
        VendorCodeError: It is not a `RunStatus`.
    """
    if not isinstance(status, RunStatus):
        raise _wrong(run, method, status, "a RunStatus")
    return replace(status, error=cleaner_of(resource)(status.error)) if status.error else status


def checked_result(run: "RemoteRun[Any]", resource: "RemoteRunResource", result: Any) -> RunResult:
    """Returns the result that a vendor's code returned, without secrets in its texts.

    Raises:
        VendorCodeError: It is not a `RunResult`.
    """
    if not isinstance(result, RunResult):
        raise _wrong(run, "fetch_result", result, "a RunResult")
    clean = cleaner_of(resource)
    checks = tuple(
        replace(one, description=clean(one.description)) if one.description else one for one in result.checks
    )
    return replace(
        result,
        metadata=clean_metadata(result.metadata, clean),
        checks=checks,
        summary=clean(result.summary),
        target_name=clean(result.target_name) if result.target_name else None,
    )


def checked_progress(run: "RemoteRun[Any]", resource: "RemoteRunResource", progress: Any) -> Mapping[str, Any]:
    """Returns the progress that a vendor's code returned, without secrets in its texts.

    Raises:
        VendorCodeError: It is not a mapping with texts as keys.
    """
    if not isinstance(progress, Mapping) or not all(isinstance(key, str) for key in progress):
        raise _wrong(run, "fetch_progress", progress, "a mapping of metadata")
    return clean_metadata(progress, cleaner_of(resource))


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
        raise _wrong(run, "target_of_listed", target, "a string or None")
    return target


def _wrong(owner: Any, method: str, returned: Any, expected: str) -> VendorCodeError:
    shown = repr(returned) if isinstance(returned, (str, int, float, bytes, type(None))) else type(returned).__name__
    detail = f"{type(owner).__name__}.{method}() returned {shown}; it must return {expected}"
    return VendorCodeError(detail, vendor=owner.vendor)
