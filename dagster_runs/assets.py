"""`build_remote_run_asset`: a remote run as a Dagster asset."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_type_hints

import dagster as dg

from dagster_runs.in_flight.definition import RemoteAsset, remember
from dagster_runs.launchpad import config_schema
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.gate import QualityGate
from dagster_runs.remote_run.options import OnConflict, OnTimeout, OnUncertainStart, RunOptions, Wait
from dagster_runs.remote_run.reporting import check_specs
from dagster_runs.remote_run.step import Step
from dagster_runs.remote_run.wording import with_article

AssetKeyLike = str | Sequence[str] | dg.AssetKey
RunOrFunction = RemoteRun[Any] | Callable[[dg.AssetExecutionContext], RemoteRun[Any]]


def build_remote_run_asset(
    run: RunOrFunction,
    *,
    key: AssetKeyLike | None = None,
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
    resource_key: str | None = None,
    wait: Wait = "poll",
    pool: str | None = None,
    timeout: float | None = None,
    on_timeout: OnTimeout = "leave",
    on_uncertain_start: OnUncertainStart = "fail",
    on_conflict: OnConflict = "wait",
    gate: QualityGate | None = None,
) -> dg.AssetsDefinition:
    """An asset that is materialized by one run at a vendor.

    The run is started once, and waited for; its end becomes a materialization with metadata and asset checks. A retry
    of the step, and a re-execution from failure, attach to the run that an earlier attempt started.

    Args:
        run: What to run, or a function of the asset's context that returns it; such a function has its return type
            annotated (``-> TestGenTestRun``).
        key: The asset's key.
        specs: Instead of ``key``, for a run that fills several assets: the assets. The arguments that describe one
            asset (``deps`` to ``description``) are then part of the specs.
        deps: The assets that it depends on.
        group_name: The asset's group.
        partitions_def: The asset's partitions. A time window fills the run's own, where it has one; other fields take
            ``{partition_key}``, ``{window_start}`` and ``{window_end}``.
        backfill_policy: With `BackfillPolicy.single_run`, a range of partitions becomes one remote run.
        automation_condition: When Dagster materializes it by itself.
        retry_policy: Retries of the step. They attach to a run that is still going.
        tags: The asset's tags.
        owners: The asset's owners.
        description: The asset's description.
        metadata: Further metadata of the asset's definition.
        resource_key: The resource's key; by default the vendor's name in lower case.
        wait: ``"poll"``: the step waits, and looks at the run. ``"defer"``: the step only starts it, and ends; a sensor
            from `build_completion_sensor` follows it, reports its success without a Dagster run, and has any other end
            published by a short Dagster run of the asset. What is downstream does not run in the same Dagster run, but
            by automation conditions. A backfill from the UI counts only what its own runs materialize, so it shows
            deferred partitions as failed; they are materialized when their remote runs end all the same.
        pool: Dagster pool that limits how many such steps go at once.
        timeout: Seconds from the start until waiting ends; by default the run's own ``default_timeout``.
        on_timeout: ``"leave"`` the remote run going then, or ``"cancel"`` it.
        on_uncertain_start: ``"fail"`` when a start's answer is lost and the run cannot be found, or
            ``"start_again"``, at the risk of a second run.
        on_conflict: ``"wait"`` when somebody else's run is in the way, or ``"fail"``.
        gate: How quality results are judged; for runs that have some.

    Raises:
        DagsterInvalidDefinitionError: The arguments make no sense together.
    """
    run_class = _class_of(run)
    options = RunOptions(
        gate=gate,
        timeout=timeout,
        on_timeout=on_timeout,
        on_uncertain_start=on_uncertain_start,
        on_conflict=on_conflict,
        wait=wait,
    )
    options.check_for(run_class)
    described = {
        "deps": deps,
        "group_name": group_name,
        "automation_condition": automation_condition,
        "tags": tags,
        "owners": owners,
        "description": description,
        "metadata": metadata,
    }
    all_specs = _specs(
        run, run_class, key, specs, {name: value for name, value in described.items() if value is not None}
    )
    resource = resource_key or run_class.resource_key
    remote = RemoteAsset(run_class, options, resource, run if isinstance(run, RemoteRun) else None)

    @dg.multi_asset(
        name=all_specs[0].key.to_python_identifier(),
        specs=all_specs,
        check_specs=[check for spec in all_specs for check in check_specs(run_class, spec.key, gate, partitions_def)],
        required_resource_keys={resource},
        partitions_def=partitions_def,
        backfill_policy=backfill_policy,
        retry_policy=retry_policy,
        config_schema=config_schema(run_class),
        pool=pool,
        # Dagster's only way to let a step end well without its checks' results. Whatever subset is chosen, there is one
        # remote run.
        can_subset=wait == "defer",
    )
    def remote_run(context: dg.AssetExecutionContext) -> Iterator[Any]:
        wanted = run if isinstance(run, RemoteRun) else run(context)
        if not isinstance(wanted, run_class):
            raise dg.DagsterInvariantViolationError(
                f"The function returned {wanted!r}, though its annotation says {run_class.__name__}"
            )
        wanted = wanted.changed_for_launch(context.op_execution_context.op_config or {}, by="The launch's config")
        yield from remote.resource_in(context.resources).follow(
            Step(context), wanted, options, is_fixed=isinstance(run, RemoteRun)
        )

    remember(remote_run, remote)
    return remote_run


def _class_of(run: RunOrFunction) -> type[RemoteRun[Any]]:
    if isinstance(run, RemoteRun):
        return type(run)
    if not callable(run):
        raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a run, or a function that returns one")
    try:
        returned = get_type_hints(run).get("return")
    except (TypeError, NameError):  # a partial; a name that is imported for type checkers only
        returned = None
    if not (isinstance(returned, type) and issubclass(returned, RemoteRun)):
        raise dg.DagsterInvalidDefinitionError(
            f"{getattr(run, '__name__', run)!r} needs an annotation that says which kind of run it returns, "
            "for example `-> TestGenTestRun`"
        )
    return returned


def _specs(
    run: RunOrFunction,
    run_class: type[RemoteRun[Any]],
    key: AssetKeyLike | None,
    specs: Sequence[dg.AssetSpec] | None,
    described: Mapping[str, Any],
) -> list[dg.AssetSpec]:
    if (key is None) == (specs is None):
        raise dg.DagsterInvalidDefinitionError("Give key, or specs for a run that fills several assets, but not both")
    if specs is not None and (described or not specs):
        raise dg.DagsterInvalidDefinitionError(
            f"With specs, put {', '.join(described)} into them" if described else "specs is empty"
        )
    own = [dg.AssetSpec(dg.AssetKey.from_coercible(key), **described)] if key is not None else list(specs or ())
    target = {"dagster_runs/target": run.target} if isinstance(run, RemoteRun) else {}
    return [
        spec.replace_attributes(
            kinds={*spec.kinds, *run_class.asset_kinds},
            metadata={"dagster_runs/vendor": run_class.vendor, **target, **spec.metadata},
            description=spec.description or _description(run, run_class),
        )
        for spec in own
    ]


def _description(run: RunOrFunction, run_class: type[RemoteRun[Any]]) -> str:
    of = f" of `{run.target}`" if isinstance(run, RemoteRun) else ""
    return f"Materialized by {with_article(run_class.vendor)} {run_class.label}{of}."
