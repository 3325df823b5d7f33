"""All use of Dagster beyond its public API, in one place, with the reason for each use.

Every function here checks for the feature, not for Dagster's version, and works with Dagster 1.12.0 and later.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

# Dagster raises this for a partition key of a job without partitions, and for a subset of a job with other partitions.
from dagster._check import CheckError as CheckError  # noqa: PLC0414 - exported on purpose
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

if TYPE_CHECKING:
    from dagster_shared.cli import WorkspaceOpts

HAS_PARTITIONED_CHECKS = "partitions_def" in inspect.signature(dg.AssetCheckSpec.__new__).parameters
"""Whether Dagster has checks with partitions, so that a bad partition does not block good ones. 1.12.0 does not."""
STORES_WITHOUT_PARTITION = "asset_partitions_subset" in inspect.signature(dg.OutputContext.__init__).parameters
"""Whether a step of a partitioned asset can store its output in a run without a partition. In 1.12.0, it cannot."""
_PAGE = 100
_FIRST_PAGE = 5
"""The number of records to read first where few are new. Each record has a whole event."""


class StoredEvaluation(NamedTuple):
    """A check evaluation in the event log.

    Attributes:
        evaluation: The evaluation.
        dagster_run_id: The Dagster run that it belongs to; empty for an evaluation without a run.
        timestamp: Epoch seconds of the event by the machine's clock.
    """

    evaluation: dg.AssetCheckEvaluation
    dagster_run_id: str
    timestamp: float


class CheckRecord(NamedTuple):
    """Dagster's record of one execution of a check, which is planned or evaluated.

    Attributes:
        id: The record's id. A record that a Dagster run has planned keeps it when the check is evaluated.
        check: The check.
        partition: The partition; ``None`` for a check without partitions.
        dagster_run_id: The Dagster run that planned or evaluated it; empty for an evaluation without a run.
        evaluated: The evaluation; ``None`` while it is only planned.
    """

    id: int
    check: dg.AssetCheckKey
    partition: str | None
    dagster_run_id: str
    evaluated: StoredEvaluation | None


def check_spec(name: str, *, partitions_def: dg.PartitionsDefinition[Any] | None, **named: Any) -> dg.AssetCheckSpec:
    """Returns an `AssetCheckSpec` with partitions, if Dagster supports them.

    They are a preview feature, and Dagster warns about each one. The warning would not help the user, because without
    partitions, the check of a partitioned asset lets bad partitions through.
    """
    if partitions_def is None or not HAS_PARTITIONED_CHECKS:
        return dg.AssetCheckSpec(name, **named)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, partitions_def=partitions_def, **named)


def is_partitioned(spec: dg.AssetCheckSpec) -> bool:
    """Whether a check has an evaluation for each partition."""
    return getattr(spec, "partitions_def", None) is not None


def evaluation(
    spec: dg.AssetCheckSpec, *, judged: dg.EventLogRecord | None, partition: str | None, **named: Any
) -> dg.AssetCheckEvaluation:
    """Returns a check evaluation that names the materialization that it judges.

    `dagster` does not export the class for this. But without it, a partitioned evaluation that is reported without a
    run never counts, and whether an unpartitioned one counts depends on two clocks (measured on 1.13.27).

    Args:
        spec: The check.
        judged: The materialization; ``None`` for an evaluation that judges none.
        partition: The partition, for a partitioned check.
        named: The other fields.
    """
    target = None
    if judged is not None:
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=judged.storage_id, run_id=judged.run_id, timestamp=judged.timestamp
        )
    where: dict[str, Any] = {"partition": partition} if is_partitioned(spec) else {}
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        blocking=spec.blocking,
        target_materialization_data=target,
        **where,
        **named,
    )


def partition_of(evaluated: dg.AssetCheckEvaluation) -> str | None:
    """Returns the partition of an evaluation; ``None`` for an unpartitioned check."""
    partition: str | None = getattr(evaluated, "partition", None)
    return partition


def report_evaluation(instance: dg.DagsterInstance, evaluated: dg.AssetCheckEvaluation, run: dg.DagsterRun) -> None:
    """Stores an evaluation as an event of a Dagster run.

    `report_runless_asset_event` stores only one evaluation per partition, ever: its table has a unique index over
    check, run and partition, and such evaluations have no run (measured on 1.13.27). An evaluation of the run that
    planned the check replaces the plan. `report_dagster_event` is not part of the documented API.
    """
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        job_name=run.job_name,
        event_specific_data=evaluated,
    )
    instance.report_dagster_event(event, run_id=run.run_id)


def newest_evaluations(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, since: float
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yields the evaluations of a check since a point in time, newest first, stored with or without a run.

    The public API reads materializations and observations, but not evaluations, and the events of evaluations cannot be
    found by their asset either (measured on 1.13.27). A record has the time of its plan, or of the evaluation if it was
    stored without a run. The event has the time of the machine; the record has the database's local time.

    Args:
        instance: The Dagster instance.
        check: The check.
        since: The point in time, in epoch seconds by the machine's clock.
    """
    for record in _records(instance, check, first_page=_FIRST_PAGE):
        if record.event is None or record.event.timestamp < since:
            return
        found = record.event.dagster_event.event_specific_data if record.event.dagster_event is not None else None
        if isinstance(found, dg.AssetCheckEvaluation):
            yield found


def _records(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, *, first_page: int = _PAGE, **wanted: Any
) -> Iterator[Any]:
    cursor: int | None = None
    limit = first_page
    while True:
        records = instance.event_log_storage.get_asset_check_execution_history(
            check, limit=limit, cursor=cursor, **wanted
        )
        yield from records
        if len(records) < limit:
            return
        cursor, limit = records[-1].id, _PAGE


def newest_check_records(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, CheckRecord]:
    """Returns the newest record of each check that has one, with one query.

    The public API has no query for evaluations. The event log cannot be read by the type of event either: SQLite would
    open the file of each Dagster run. A check with partitions has a record for each of them; this is the newest of all.
    """
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    return {key: _check_record(found[key]) for key in checks if key in found}


def check_records_after(instance: dg.DagsterInstance, check: dg.AssetCheckKey, after: int) -> Iterator[CheckRecord]:
    """Yields the records of a check whose ids are larger than ``after``, newest first."""
    for record in _records(instance, check, first_page=_FIRST_PAGE):
        if record.id <= after:
            return
        yield _check_record(record)


def _check_record(record: Any) -> CheckRecord:
    evaluated = _stored_evaluation(record.event) if record.event is not None else None
    partition: str | None = getattr(record, "partition", None)  # absent where checks have no partitions
    return CheckRecord(record.id, record.key, partition, record.run_id or "", evaluated)


def _stored_evaluation(event: dg.EventLogEntry) -> StoredEvaluation | None:
    found = event.dagster_event.event_specific_data if event.dagster_event is not None else None
    return (
        StoredEvaluation(found, event.run_id, event.timestamp) if isinstance(found, dg.AssetCheckEvaluation) else None
    )


def evaluations_of_run(
    instance: dg.DagsterInstance, dagster_run_id: str, cursor: str | None
) -> tuple[list[StoredEvaluation], str]:
    """Returns the check evaluations among the events of a Dagster run, and the cursor after them.

    A check that a run evaluates twice, because a step is retried, has only one record. The events have both
    evaluations. `get_records_for_run` is a method of the instance, but not part of the documented API.

    Args:
        instance: The Dagster instance.
        dagster_run_id: The Dagster run.
        cursor: Where an earlier reading ended; ``None`` to begin with the first event.
    """
    page = instance.get_records_for_run(
        dagster_run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    found = [_stored_evaluation(record.event_log_entry) for record in page.records]
    return [one for one in found if one is not None], page.cursor


def planned_partitions(instance: dg.DagsterInstance, dagster_run_id: str) -> set[tuple[dg.AssetCheckKey, str]]:
    """Returns the checks and partitions that a Dagster run planned to evaluate, without unpartitioned checks."""
    page = instance.get_records_for_run(dagster_run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    found: set[tuple[dg.AssetCheckKey, str]] = set()
    for record in page.records:
        event = record.event_log_entry.dagster_event
        planned: Any = event.event_specific_data if event is not None else None
        partitions = getattr(planned, "partitions_subset", None)  # absent where checks have no partitions
        if partitions is not None:
            key = dg.AssetCheckKey(planned.asset_key, planned.check_name)
            found |= {(key, partition) for partition in partitions.get_partition_keys()}
    return found


def run_evaluations(instance: dg.DagsterInstance, dagster_run_id: str) -> Iterator[dg.AssetCheckEvaluation]:
    """Yields the check evaluations among the events of a Dagster run, oldest first.

    The records of a check only contain the time at which such evaluations were planned. `all_logs` is not part of the
    documented API.
    """
    for entry in instance.all_logs(dagster_run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        found = entry.dagster_event.event_specific_data if entry.dagster_event is not None else None
        if isinstance(found, dg.AssetCheckEvaluation):
            yield found


def runs_of_check(instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition: str) -> list[str]:
    """Returns the ids of the Dagster runs that planned or evaluated a check for a partition, newest first.

    The id is empty for an evaluation without a run. Dagster uses the newest record, and a record dates from its plan.
    """
    from dagster._core.event_api import PartitionKeyFilter  # absent where checks have no partitions

    records = _records(instance, check, partition_filter=PartitionKeyFilter(key=partition))
    return [str(record.run_id) for record in records]


def shows_success(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> bool:
    """Whether the newest record of a check is a success. False if a later Dagster run has planned the check."""
    newest = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    return bool(newest) and newest[0].status.value == "SUCCEEDED"


def step_key(context: Any) -> str:
    """Returns the key of the step that is being executed.

    No public property contains it: `op_handle` lacks the mapping key of a dynamic step, and is deprecated.

    Args:
        context: The step's context.
    """
    return str(context.get_step_execution_context().step.key)


def builds_on_parent(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a re-execution loads outputs of its parent run, because it is from failure or runs only selected steps.

    The record of a run that `dagster.execute_job` re-executes is the same from failure as for all steps (measured on
    1.13.27). Only the known state in the snapshot of its plan differs.

    Args:
        instance: The Dagster instance.
        run: A run with a parent.
    """
    snapshot_id = run.execution_plan_snapshot_id
    snapshot = instance.get_execution_plan_snapshot(snapshot_id) if snapshot_id else None
    known = getattr(snapshot, "initial_known_state", None)
    return getattr(known, "parent_state", None) is not None


def has_succeeded(instance: dg.DagsterInstance, run_id: str, step: str) -> bool:
    """Whether a step of a Dagster run has succeeded.

    `get_run_step_stats` is a method of the instance, but not part of the documented API. It makes one indexed query.

    Args:
        instance: The Dagster instance.
        run_id: The Dagster run.
        step: The step's key.
    """
    stats = instance.get_run_step_stats(run_id, [step])
    return any(getattr(one.status, "value", None) == "SUCCESS" for one in stats)


def is_sensor_on(instance: dg.DagsterInstance, name: str, *, default: bool) -> bool:
    """Whether a sensor of this name is on, in any code location. `dagster` does not export the classes for this.

    Args:
        instance: The Dagster instance.
        name: The sensor's name.
        default: Whether it is on unless a user turns it off.
    """
    from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType

    if instance.schedule_storage is None:
        return True  # of an ephemeral instance, whose sensors are evaluated by a test
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    found = [state.status for state in states if state.instigator_name == name]
    if not found:
        return default
    on_by_default = default and InstigatorStatus.DECLARED_IN_CODE in found
    return InstigatorStatus.RUNNING in found or on_by_default


def downstream_in_job(
    job: dg.JobDefinition, keys: Collection[dg.AssetKey], selected: Collection[dg.AssetKey] | None
) -> list[dg.AssetKey]:
    """Returns the assets of a job that are downstream of others. A job has no public property with its assets.

    Args:
        job: The job.
        keys: The upstream assets.
        selected: The assets that a Dagster run of the job selects; ``None`` or empty for all.
    """
    graph = job.asset_layer.asset_graph
    wanted = set(selected or job.asset_layer.selected_asset_keys)
    found: set[dg.AssetKey] = set()
    remaining = list(keys)
    while remaining:
        key = remaining.pop()
        children = {child for child in graph.get(key).child_keys if child in wanted} if graph.has(key) else set()
        remaining += children - found
        found |= children
    return sorted(found - set(keys), key=lambda key: list(key.path))


def has_one_partitions_definition(job: dg.JobDefinition, keys: Collection[dg.AssetKey]) -> bool:
    """Whether the assets of a job that have partitions all have the same, and at least one has some.

    Otherwise, Dagster fails a tick that requests a run of these assets for a partition (measured on 1.13.27).

    Args:
        job: The job.
        keys: The assets; empty for all.
    """
    graph = job.asset_layer.asset_graph
    wanted = [key for key in keys or job.asset_layer.selected_asset_keys if graph.has(key)]
    return len({one for key in wanted if (one := graph.get(key).partitions_def) is not None}) == 1 or not wanted


def has_failed_blocking_check(instance: dg.DagsterInstance, definition: dg.AssetsDefinition, key: dg.AssetKey) -> bool:
    """Whether the newest evaluation of one of an asset's blocking checks is a failure.

    Args:
        instance: The Dagster instance.
        definition: The asset's definition.
        key: The asset.
    """
    blocking = [spec.key for spec in definition.check_specs if spec.blocking and spec.asset_key == key]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(blocking) if blocking else {}
    return any(record.status.value == "FAILED" for record in found.values())


def assets_of_job(job: dg.JobDefinition) -> frozenset[dg.AssetKey]:
    """Returns the assets of a job, which no public property contains."""
    return frozenset(job.asset_layer.selected_asset_keys)


def ops_of(job: dg.JobDefinition, keys: Collection[dg.AssetKey]) -> set[str]:
    """Returns the names of the ops that materialize some assets of a job."""
    return {job.asset_layer.get(key).assets_def.node_def.name for key in keys}


def are_partitioned(job: dg.JobDefinition, keys: Collection[dg.AssetKey]) -> bool:
    """Whether at least one of some assets of a job has partitions."""
    return any(job.asset_layer.get(key).partitions_def is not None for key in keys)


def is_success_hook(hook: dg.HookDefinition) -> bool:
    """Whether a hook is one of `dagster.success_hook`. Dagster keeps no kind of a hook, only the function it made."""
    return getattr(hook.hook_fn, "__name__", "") == "_success_hook"


class CodeLocationTarget(NamedTuple):
    """Where the definitions of a code location are.

    Attributes:
        name: The name of the code location.
        executable: The Python that loads it, if it is another one than that of this process.
        origin: Dagster's own description, for `load_repositories`; ``None`` for a running code server.
    """

    name: str
    executable: str | None
    origin: Any


def code_location_targets(options: "WorkspaceOpts") -> list[CodeLocationTarget]:
    """Returns the code locations that the options of a command name, or else those of the current folder.

    `dagster` and `dg` find definitions with these functions. There are no public ones.

    Args:
        options: The options, as of `dagster_shared.cli.WorkspaceOpts`.

    Raises:
        click.UsageError: The options contradict each other, or there is nothing in the current folder.
    """
    from dagster._cli.workspace.cli_target import workspace_opts_to_load_target
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

    targets: list[CodeLocationTarget] = []
    for location in workspace_opts_to_load_target(options).create_origins():
        is_server = isinstance(location, GrpcServerCodeLocationOrigin)
        origin = None if is_server else location.loadable_target_origin
        executable = origin.executable_path if origin is not None else None
        is_other = executable is not None and os.path.realpath(executable) != os.path.realpath(sys.executable)
        targets.append(CodeLocationTarget(location.location_name, executable if is_other else None, origin))
    return targets


def load_repositories(target: CodeLocationTarget) -> Mapping[str, dg.RepositoryDefinition]:
    """Loads the definitions of a code location into this process, as its code server does.

    Components load their definitions only in the context that this class sets. There is no public function for it.

    Raises:
        dagster.DagsterUserCodeLoadError: The definitions cannot be loaded. The cause says why.
    """
    from dagster._grpc.server import LoadedRepositories

    loaded = LoadedRepositories(target.origin, container_image=None, entry_point=["dagster"], container_context=None)
    return loaded.definitions_by_name


def variables_in_env_file(folder: str) -> Mapping[str, str]:
    """Returns the variables in the file ``.env`` of a folder, which `dagster dev` and `dg dev` load."""
    from dagster._core.secrets.env_file import get_env_var_dict

    return get_env_var_dict(folder)


def resource_class(definition: dg.ResourceDefinition) -> type | None:
    """Returns the class of a resource; ``None`` for one that is not a `ConfigurableResource`.

    Dagster wraps each resource in a definition whose class is not exported.
    """
    found = getattr(definition, "configurable_resource_cls", None)
    return found if isinstance(found, type) else None
