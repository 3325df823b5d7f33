"""The vendors' resources in a sensor's tick or a cancel job, each initialized separately.

Dagster initializes all resources that a sensor or an op requires before its body runs, so one vendor's unset variable
would stop all others. Sensors, and cancel jobs over several vendors, therefore do not require them, but take them from
the code location's definitions.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dagster as dg
from pydantic import ValidationError

from dagster_runs.dagster_private import CheckError
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.transport.errors import VendorError

_MAX_REASON = 500
_SETTINGS_ERRORS = (dg.DagsterError, ValidationError, VendorError, LookupError)
"""What wrong settings raise. The message says it all."""


@dataclass
class VendorResources:
    """The resources of some assets.

    Attributes:
        ready: The usable resources, by key.
        problems: Why each of the others cannot be used, by key; without secrets.
        errors: The errors of code among the causes, by key; their tracebacks are worth logging.
    """

    ready: dict[str, RemoteRunResource] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)


@contextmanager
def initialized(assets: Iterable[WatchedAsset], context: Any) -> Iterator[VendorResources]:
    """Initializes the resource of each asset for the duration of the block.

    Resources that were passed to the context (`build_sensor_context(resources=...)`) take precedence over those of the
    definitions.

    Args:
        assets: The assets.
        context: A sensor's or an op's context.
    """
    found = VendorResources()
    with ExitStack() as stack:
        for key, some in group_by(assets, lambda asset: asset.remote.resource_key).items():
            try:
                made = SimpleNamespace(**{key: initialize(key, context, stack, own=some[0].executed.resource_defs)})
                for asset in some:
                    found.ready[key] = asset.remote.resource_in(made)
            except Exception as error:  # noqa: BLE001 - Dagster's, pydantic's, or of the resource's own code
                found.ready.pop(key, None)
                if not isinstance(error, _SETTINGS_ERRORS):
                    found.errors[key] = error
                found.problems[key] = f"The resource {key!r} cannot be used: {reason_of(error)}"
        yield found


def initialize(
    key: str, context: Any, stack: ExitStack, *, own: Mapping[str, dg.ResourceDefinition] | None = None
) -> Any:
    """Returns a resource, initialized until the stack is closed.

    Args:
        key: Its key.
        context: A sensor's or an op's context.
        stack: Closes the resource.
        own: Resources of an asset's own definition, which take precedence over those of the code location.

    Raises:
        Exception: It cannot be initialized; see `reason_of`.
    """
    given = getattr(context.resources, key, None)
    if given is not None:
        return given
    definitions = {**_defined(context), **(own or {})}
    if key not in definitions:
        raise LookupError(
            "it is not defined. Add it to the resources of your Definitions; in a test, pass resources= or definitions="
        )
    needed = _with_nested(key, definitions)
    config = {name: value for name, value in _launch_config(context).items() if name in needed}
    made = stack.enter_context(dg.build_resources(needed, context.instance, resource_config=config))
    return getattr(made, key)


def code_location_of(context: Any) -> dg.RepositoryDefinition | None:
    """Returns the definitions of the context's code location; ``None`` in a test that has none."""
    try:
        found: dg.RepositoryDefinition | None = context.repository_def
    except CheckError:  # an op's context
        return None
    return found


def _defined(context: Any) -> Mapping[str, dg.ResourceDefinition]:
    repository = code_location_of(context)
    of_location = repository.get_top_level_resources() if repository is not None else {}
    job = getattr(context, "job_def", None)  # an op's job: the resources that were passed to `execute_in_process`
    return {**of_location, **(job.resource_defs if job is not None else {})}


def _launch_config(context: Any) -> Mapping[str, Any]:
    config: Mapping[str, Any] = (getattr(context, "run_config", None) or {}).get("resources") or {}
    return config


def _with_nested(key: str, definitions: Mapping[str, dg.ResourceDefinition]) -> dict[str, dg.ResourceDefinition]:
    """Returns the resource with those that it requires. A resource nested in another may be a top-level one."""
    needed: dict[str, dg.ResourceDefinition] = {}
    remaining = [key]
    while remaining:
        name = remaining.pop()
        if name not in needed:
            needed[name] = definitions[name]
            remaining += needed[name].get_required_resource_keys(definitions)
    return needed


def reason_of(error: BaseException) -> str:
    """Returns the root cause in one line. Values are left out, because one of them may be a secret."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        message = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
    else:
        message = str(error).partition("Stack Trace:")[0] or type(error).__name__
    message = " ".join(message.split())
    return message if len(message) <= _MAX_REASON else f"{message[:_MAX_REASON]}…"
