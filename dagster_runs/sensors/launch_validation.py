"""What Dagster would refuse, and all that a tick tells with it: lost partitions, and requests that do not fit."""

from collections.abc import Callable
from inspect import getmembers, isfunction
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckError

REFUSALS = (
    CheckError,  # a partition of a job without partitions, or other partitions than those of its config
    dg.DagsterConfigMappingFunctionError,  # the user's function for the job's config
    dg.DagsterInvalidConfigError,  # other config, of the asset or of a resource
    dg.DagsterInvalidDefinitionError,
    dg.DagsterInvalidSubsetError,  # the job has lost an asset
    dg.DagsterUnknownPartitionError,  # other partitions, or a dynamic one that was deleted
)
"""How Dagster's definitions refuse a run. Any other exception is an error of code, and says nothing about the run."""


class NotPrepared(Exception):
    """An error of code kept a Dagster run from being prepared; it is the cause of this exception."""


class _Lost(Exception):
    """What is requested does not exist any more."""


def is_partition(partitions_def: dg.PartitionsDefinition[Any], key: str, instance: dg.DagsterInstance) -> bool:
    """Whether these partitions have the key, whatever shape it has."""

    def find(_: Any) -> None:
        if not partitions_def.has_partition_key(key):
            raise _Lost(key)

    return _refused(find, instance) is None


def refusal(request: dg.RunRequest, context: dg.SensorEvaluationContext) -> str | None:
    """Why Dagster would refuse to launch what is requested, asked of the same definitions; ``None`` if it would not.

    A job may have lost an asset since, or have other partitions, or other config.

    Raises:
        NotPrepared: An error of code, so that it is not known.
    """
    repository = context.repository_def
    if repository is None:
        return None

    def prepare(loading: Any) -> None:
        name = request.job_name or ""
        if not repository.has_job(name):
            raise _Lost(f"There is no job {name}")
        job = repository.get_job(name)
        selected = job.get_subset(asset_selection=frozenset(request.asset_selection or ()))
        if request.partition_key is not None:
            job.validate_partition_key(
                request.partition_key, selected_asset_keys=request.asset_selection, context=loading
            )
        dg.validate_run_config(selected, request.run_config)

    error = _refused(prepare, context.instance)
    return None if error is None else str(error) if isinstance(error, _Lost) else f"{type(error).__name__}: {error}"


def _refused(judge: Callable[[Any], None], instance: dg.DagsterInstance) -> Exception | None:
    """The error with which Dagster's definitions refuse something.

    Raises:
        NotPrepared: An error of code.
        Exception: Dagster's storage failed. That says nothing about what is judged, and the next tick asks again.
    """
    asked: Any = _Asked(instance)
    with dg.partition_loading_context(dynamic_partitions_store=asked) as loading:
        try:
            judge(loading)
        except Exception as error:
            if asked.has_failed:
                raise
            if isinstance(error, (*REFUSALS, _Lost)):
                return error
            raise NotPrepared(f"{type(error).__name__}: {error}") from error
    return None


class _Asked:
    """Stands for the instance where Dagster asks it for partitions, and knows whether its storage failed to answer.

    Each storage raises errors of its own, so they are not known by their kind.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.has_failed = False


def _asking(name: str) -> Callable[..., Any]:
    def ask(asked: _Asked, *args: Any, **named: Any) -> Any:
        try:
            return getattr(asked.instance, name)(*args, **named)
        except Exception:
            asked.has_failed = True
            raise

    return ask


# All methods, as a later version of Dagster may ask for others.
for _name, _ in getmembers(dg.DagsterInstance, isfunction):
    if not _name.startswith("_"):
        setattr(_Asked, _name, _asking(_name))
