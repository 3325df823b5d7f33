"""`build_remote_run_asset`, which builds a Dagster asset from a remote run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_origin, get_type_hints

import dagster as dg

from dagster_runs.asset_arguments import (
    RunOrFunction,
    asset_specs,
    check_list,
    check_mapping,
    checked_hooks,
    checked_name,
    clear_multi_asset,
)
from dagster_runs.launchpad import config_schema, overrides, present_values
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_checks import described
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.events import check_specs
from dagster_runs.remote_run.execution.execute import execute_remote_run
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.remote_run.execution.partitions import fill_from_partition, require_partition
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike
from dagster_runs.remote_run.options import (
    OnConflict,
    OnInFlight,
    OnMissingPartition,
    OnTimeout,
    OnUncertainStart,
    RunOptions,
    Wait,
)
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.wrong_calls import explain_wrong_call
from dagster_runs.sensors.registry import RemoteAsset, completion_sensor_of, register


@explain_wrong_call
def build_remote_run_asset(
    run: RunOrFunction,
    *,
    key: AssetKeyLike | None = None,
    key_prefix: str | Sequence[str] | None = None,
    specs: Sequence[dg.AssetSpec] | None = None,
    deps: Sequence[Any] | None = None,
    group_name: str | None = None,
    partitions_def: dg.PartitionsDefinition[Any] | None = None,
    backfill_policy: dg.BackfillPolicy | None = None,
    automation_condition: dg.AutomationCondition[Any] | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    tags: Mapping[str, str] | None = None,
    owners: Sequence[str] | None = None,
    description: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    kinds: Iterable[str] | None = None,
    code_version: str | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    name: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
    hooks: Iterable[dg.HookDefinition] | None = None,
    resource_key: str | None = None,
    wait: Wait = "poll",
    backfill_wait: Wait = "poll",
    on_in_flight: OnInFlight | None = None,
    max_in_flight: int | None = None,
    rerun_if_upstream_newer: bool = True,
    pool: str | None = None,
    timeout: float | None = None,
    on_timeout: OnTimeout = "leave",
    on_uncertain_start: OnUncertainStart = "fail",
    on_conflict: OnConflict = "wait",
    on_missing_partition: OnMissingPartition = "fail",
    gate: QualityGate | None = None,
) -> dg.AssetsDefinition:
    """Builds an asset that is materialized by a remote run at a vendor.

    The step starts the run once and polls it until it finishes. The outcome becomes a materialization with metadata and
    asset checks. A retry of the step and a re-execution from failure attach to the run that an earlier attempt started.

    Args:
        run: The run, or a function that takes the asset's context and returns the run. Such a function needs a return
            type annotation (``-> TestGenTestRun``).
        key: The asset's key.
        key_prefix: What comes before the key: one part, or a list of parts.
        specs: The specs of the assets, in place of ``key``, for a run that materializes several assets. The arguments
            that describe one asset (such as ``deps`` and ``description``) are then part of the specs.
        deps: The upstream assets.
        group_name: The asset's group.
        partitions_def: The asset's partitions. A time-window partition sets the run's own time window, if it has one.
            Other fields may contain ``{partition_key}``, ``{window_start}`` and ``{window_end}``.
        backfill_policy: With `BackfillPolicy.single_run`, a range of partitions becomes one remote run.
        automation_condition: When Dagster materializes the asset automatically.
        retry_policy: The retry policy of the step. A retry attaches to a run that is still active.
        tags: The asset's tags.
        owners: The asset's owners.
        description: The asset's description.
        metadata: Further metadata of the asset's definition.
        kinds: The asset's kinds, in addition to those of the vendor. Dagster allows three altogether.
        code_version: The version of the code that the asset depends on.
        freshness_policy: When the asset is considered stale.
        name: The name of the op. Defaults to the key with underscores between its parts, which is the same for
            ``a-b`` and ``a_b``. Change it only while no run of the asset is in flight, because a retry and a
            re-execution find their run by it.
        op_tags: The tags of the op, which executors read, for example to set the resources of a pod.
        hooks: The hooks of the step. With ``"defer"``, a success hook is refused, because it would fire when the run
            has been started; use ``job`` of `build_completion_sensor` instead.
        resource_key: The resource's key. Defaults to the vendor's name in lower case.
        wait: With ``"poll"``, the step polls the run until it finishes. With ``"defer"``, the step finishes once it has
            started the run. A sensor from `build_completion_sensor` then polls the run, reports its success without a
            Dagster run, and reports any other outcome with a short Dagster run of the asset. Downstream assets do not
            run in the same Dagster run; they need automation conditions.
        backfill_wait: The same for the steps of a backfill, which counts only what its own runs materialize. With
            ``"defer"``, Dagster shows the backfill as failed, although the partitions are materialized when their
            remote runs succeed, and it does not continue with downstream assets.
        on_in_flight: What a deferred step does while a run of the same asset and partition is in flight. With
            ``"queue"``, the default, it starts nothing, and the completion sensor starts one more run for all equal
            requests when that run has ended. With ``"start"``, it starts a second run at once.
        max_in_flight: The maximum number of the asset's deferred runs in flight; ``None`` for no limit. Then each
            request is queued, and the completion sensor admits it. See also the resource's ``max_in_flight``.
        rerun_if_upstream_newer: Whether the completion sensor requests one more run if an upstream asset was
            materialized while a run was in flight. Only for an asset with an automation condition.
        pool: The Dagster pool that limits the number of concurrent steps. It does not limit deferred runs, which
            continue after their step; for these, see ``max_in_flight``.
        timeout: The timeout in seconds after the start. Defaults to the run's own ``default_timeout``.
        on_timeout: After a timeout, ``"leave"`` the remote run running, or ``"cancel"`` it.
        on_uncertain_start: If the response to a start is lost and the run cannot be found, ``"fail"``, or
            ``"start_again"`` at the risk of a second run.
        on_conflict: If another run, which this step did not start, prevents the start, ``"wait"`` until it finishes, or
            ``"fail"``.
        on_missing_partition: If an asset with ``partitions_def`` is launched without a partition, ``"fail"``, or
            ``"start"`` a run without one. Such a run has no time window, and its materialization does not count for a
            partition.
        gate: The quality gate, for runs with quality results.

    Raises:
        DagsterInvalidDefinitionError: The arguments are invalid or do not fit together.
    """
    run_class = _class_of(run)
    check_list("deps", deps, "an asset key or an asset")
    check_mapping("op_tags", op_tags)
    if not isinstance(partitions_def, (dg.PartitionsDefinition, type(None))):
        raise dg.DagsterInvalidDefinitionError(
            f"partitions_def is {partitions_def!r}; it must be a definition, such as dg.DailyPartitionsDefinition(...)"
        )
    if not isinstance(resource_key, (str, type(None))):
        raise dg.DagsterInvalidDefinitionError(
            f"resource_key is a {type(resource_key).__name__}; it must be the key of a resource, such as "
            f"{run_class.resource_key!r}"
        )
    options = RunOptions(
        gate=gate,
        timeout=timeout,
        on_timeout=on_timeout,
        on_uncertain_start=on_uncertain_start,
        on_conflict=on_conflict,
        on_missing_partition=on_missing_partition,
        wait=wait,
        backfill_wait=backfill_wait,
        on_in_flight=on_in_flight,
        max_in_flight=max_in_flight,
        rerun_if_upstream_newer=rerun_if_upstream_newer,
    )
    options.check_for(run_class)
    own_hooks = checked_hooks(hooks, options)
    attributes = {
        "key_prefix": key_prefix,
        "deps": deps,
        "group_name": group_name,
        "automation_condition": automation_condition,
        "tags": tags,
        "owners": owners,
        "description": description,
        "metadata": metadata,
        "kinds": kinds,
        "code_version": code_version,
        "freshness_policy": freshness_policy,
    }
    all_specs = asset_specs(
        run, run_class, key, specs, {name: value for name, value in attributes.items() if value is not None}
    )
    resource = resource_key or run_class.resource_key
    definition = run if isinstance(run, RemoteRun) else run_class
    remote = RemoteAsset(run_class, options, resource, run if isinstance(run, RemoteRun) else None)

    present = present_values(remote.run)

    @clear_multi_asset(
        name=checked_name(name) or all_specs[0].key.to_python_identifier(),
        specs=all_specs,
        check_specs=[check for spec in all_specs for check in check_specs(definition, spec.key, gate, partitions_def)],
        required_resource_keys={resource},
        partitions_def=partitions_def,
        backfill_policy=backfill_policy,
        retry_policy=retry_policy,
        config_schema=config_schema(run_class, present),
        pool=pool,
        op_tags=op_tags,
        hooks=own_hooks,
        # A deferred step succeeds without the results of its checks, and a job may leave the checks out. Dagster allows
        # both only if it also allows a subset of the assets. A subset still starts one run, which materializes all.
        can_subset=True,
    )
    def remote_run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        step = Step(context)
        here = options.in_backfill() if step.is_in_backfill and step.finishes is None else options
        waits = here.wait == "poll"
        require_partition(step, on_missing_partition, waits=waits)  # before calling `run`, which may read it
        _warn_about_unselected(step)
        if not waits:
            _warn_about_downstream(step)
        if waits and step.finishes is None:
            # Because of `can_subset`, Dagster would otherwise accept a missing check result.
            context.set_requires_typed_event_stream(
                error_message=f"A {run_class.__name__} must report each of its checks: "
                f"{', '.join(described(definition)) or 'run_status'}."
            )
        wanted = run if isinstance(run, RemoteRun) else run(context)
        if not isinstance(wanted, run_class):
            raise dg.DagsterInvariantViolationError(
                f"The function returned a {type(wanted).__name__}, but its annotation says {run_class.__name__}"
            )
        config = context.op_execution_context.op_config or {}
        wanted = wanted.with_overrides(overrides(config, present), by="The launch config")
        filled = fill_from_partition(wanted, step)
        if step.finishes is None:
            _refuse_other_checks(definition, filled)
        vendor_resource = remote.resource_in(context.resources)
        yield from execute_remote_run(
            RemoteRunExecution(
                step,
                vendor_resource,
                filled,
                here,
                is_fixed=isinstance(run, RemoteRun),
                completion_sensor=lambda: completion_sensor_of(remote_run, step.instance),
                is_whole_step=True,
            )
        )

    register(remote_run, remote)
    return remote_run


def _refuse_other_checks(definition: RemoteRun[Any] | type[RemoteRun[Any]], launched: RemoteRun[Any]) -> None:
    """Refuses a run whose fields declare other checks than the asset has, because Dagster could not store them.

    Raises:
        dagster.Failure: The launch config or the partition changed a field that decides which checks there are.
    """
    declared, found = set(described(definition)), set(described(launched))
    if declared != found:
        raise dg.Failure(
            description=f"With the values of this launch, the run has the checks {', '.join(sorted(found)) or 'none'}, "
            f"but the asset declares {', '.join(sorted(declared)) or 'none'}. Nothing was started. Change the fields "
            "that decide on the checks in the definition, not in the launch config or with a placeholder.",
            allow_retries=False,
        )


def _warn_about_unselected(step: Step) -> None:
    left_out = set(step.definition_keys) - set(step.asset_keys)
    if left_out:
        names = ", ".join(sorted(key.to_user_string() for key in left_out))
        step.log.warning(
            "The remote run also materializes %s, which this step does not select and therefore does not report", names
        )


def _warn_about_downstream(step: Step) -> None:
    skipped = step.downstream_in_run
    if skipped and step.finishes is None:
        step.log.warning(
            "The remote run continues after this step, so this Dagster run skips %s, which %s downstream. Give %s "
            "automation conditions; or put the assets in a job, and pass it to build_completion_sensor as jobs=[...] "
            "with continue_run=True",
            ", ".join(key.to_user_string() for key in skipped),
            "are" if len(skipped) > 1 else "is",
            "them" if len(skipped) > 1 else "it",
        )


def _class_of(run: RunOrFunction) -> type[RemoteRun[Any]]:
    if isinstance(run, RemoteRun):
        return type(run)
    if isinstance(run, type):
        raise dg.DagsterInvalidDefinitionError(f"run is the class {run.__name__}; pass a run: `{run.__name__}(...)`")
    if not callable(run):
        raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a run or a function that returns one")
    try:
        returned = get_type_hints(run).get("return")
    except (TypeError, NameError):  # a partial, or a name that is imported for type checkers only
        returned = None
    # With Python 3.10, `list[str]` is an instance of type, but no class.
    is_class = get_origin(returned) is None
    if not (is_class and isinstance(returned, type) and issubclass(returned, RemoteRun)):
        raise dg.DagsterInvalidDefinitionError(
            f"{getattr(run, '__name__', run)!r} needs a return type annotation with the kind of run, for example "
            "`-> TestGenTestRun`"
        )
    return returned
