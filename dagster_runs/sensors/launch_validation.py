"""Checks whether Dagster would reject a run request, and the whole tick with it.

Reasons are partitions that no longer exist, and requests that do not fit the job.
"""

from collections.abc import Callable
from inspect import getmembers, isfunction
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckError, has_one_partitions_definition

REFUSALS = (
    CheckError,  # a partition of a job without partitions, or partitions other than those of its config
    dg.DagsterConfigMappingFunctionError,  # the user's config mapping function of the job
    dg.DagsterInvalidConfigError,  # changed config, of the asset or of a resource
    dg.DagsterInvalidDefinitionError,
    dg.DagsterInvalidSubsetError,  # the job no longer has the asset
    dg.DagsterUnknownPartitionError,  # changed partitions, or a deleted dynamic partition
)
"""The errors with which Dagster's definitions reject a run. Any other exception is an error in code."""


class RequestPreparationError(Exception):
    """A Dagster run could not be prepared because of an error in code, which is the cause of this exception."""


class _Missing(Exception):
    """A requested job or partition no longer exists."""


def is_partition(partitions_def: dg.PartitionsDefinition[Any], key: str, instance: dg.DagsterInstance) -> bool:
    """Whether these partitions include the key, in any format of the key."""

    def find(_: Any) -> None:
        if not partitions_def.has_partition_key(key):
            raise _Missing(key)

    return _rejection(find, instance) is None


def launch_error(request: dg.RunRequest, context: dg.SensorEvaluationContext) -> str | None:
    """Returns why Dagster would reject a run request, according to its own definitions; ``None`` if it would not.

    Since the run was deferred, a job may have lost an asset, or its partitions or config may have changed.

    Raises:
        RequestPreparationError: An error in code prevented the check.
    """
    repository = context.repository_def
    if repository is None:
        return None

    def prepare(loading: Any) -> None:
        name = request.job_name or ""
        if not repository.has_job(name):
            raise _Missing(f"There is no job {name}")
        job = repository.get_job(name)
        checks = request.asset_check_keys
        selected = job.get_subset(
            asset_selection=frozenset(request.asset_selection or ()),
            asset_check_selection=None if checks is None else frozenset(checks),
        )
        if request.partition_key is not None:
            if not has_one_partitions_definition(job, request.asset_selection or ()):
                raise _Missing(f"The assets that it selects in job {name} do not have the same partitions")
            job.validate_partition_key(
                request.partition_key, selected_asset_keys=request.asset_selection, context=loading
            )
        dg.validate_run_config(selected, request.run_config)

    error = _rejection(prepare, context.instance)
    return None if error is None else str(error) if isinstance(error, _Missing) else f"{type(error).__name__}: {error}"


def _rejection(check: Callable[[Any], None], instance: dg.DagsterInstance) -> Exception | None:
    """Returns the error with which Dagster's definitions reject something; ``None`` if they accept it.

    Raises:
        RequestPreparationError: An error in code.
        Exception: Dagster's storage failed, which says nothing about the request. The next tick checks again.
    """
    proxy: Any = _InstanceProxy(instance)
    with dg.partition_loading_context(dynamic_partitions_store=proxy) as loading:
        try:
            check(loading)
        except Exception as error:
            if proxy.has_failed:
                raise
            if isinstance(error, (*REFUSALS, _Missing)):
                return error
            raise RequestPreparationError(f"{type(error).__name__}: {error}") from error
    return None


class _InstanceProxy:
    """Wraps the instance when Dagster reads partitions, and records whether its storage failed.

    Each storage raises its own errors, so they cannot be recognized by their type.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.has_failed = False


def _forwarding(name: str) -> Callable[..., Any]:
    def forward(proxy: _InstanceProxy, *args: Any, **named: Any) -> Any:
        try:
            return getattr(proxy.instance, name)(*args, **named)
        except Exception:
            proxy.has_failed = True
            raise

    return forward


# All methods, because a later version of Dagster may call others.
for _name, _ in getmembers(dg.DagsterInstance, isfunction):
    if not _name.startswith("_"):
        setattr(_InstanceProxy, _name, _forwarding(_name))
