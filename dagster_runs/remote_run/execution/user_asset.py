"""Checks a call of `run()` in a user-defined asset, and makes sure that its events reach Dagster."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import finalize

import dagster as dg

from dagster_runs.dagster_private import is_partitioned
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_checks import data_checks_of
from dagster_runs.remote_run.execution.dagster_step import Step
from dagster_runs.remote_run.execution.events import RUN_STATUS
from dagster_runs.remote_run.execution.execute import execute_remote_run
from dagster_runs.remote_run.execution.execution import RemoteRunExecution
from dagster_runs.remote_run.execution.partitions import fill_from_partition, require_partition
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.quality import QualityGate

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource

AssetKeyLike = str | Sequence[str] | dg.AssetKey


def usage_error(why: str) -> dg.Failure:
    """Returns the error for a call that starts nothing and that a retry cannot fix."""
    return dg.Failure(description=f"{why.rstrip('.')}. Nothing was started.", allow_retries=False)


def run_in_asset(
    resource: "RemoteRunResource",
    context: Any,
    run: RemoteRun[Any],
    options: RunOptions,
    *,
    assets: Sequence[AssetKeyLike] | None,
    name: str,
) -> Iterator[Any]:
    """Checks a call of `run()`, and returns the events of the remote run, which starts when the first one is requested.

    Args:
        resource: The resource that executes the run.
        context: The value passed as the asset's context.
        run: The value passed as the run.
        options: The user's options.
        assets: The value passed as the assets that the run materializes.
        name: The run's name.

    Raises:
        dagster.Failure: An argument is invalid. The message says which one and why.
    """
    step = check_call(context, run, options, resource=resource, assets=assets, name=name)
    require_partition(step, options.on_missing_partition, waits=True)
    filled = fill_from_partition(run, step)
    return events_of(step, filled, lambda: execute_remote_run(RemoteRunExecution(step, resource, filled, options)))


def check_call(
    context: Any,
    run: Any,
    options: RunOptions,
    *,
    resource: "RemoteRunResource",
    assets: Sequence[AssetKeyLike] | None,
    name: str,
) -> Step:
    """Checks the arguments of a call of `run()`, and returns the step that makes the call.

    Args:
        context: The value passed as the asset's context.
        run: The value passed as the run.
        options: The user's options.
        resource: The resource that would execute the run.
        assets: The value passed as the assets that the run materializes.
        name: The run's name.

    Raises:
        dagster.Failure: An argument is invalid. The message says which one and why.
    """
    if not hasattr(context, "op_execution_context"):
        raise usage_error(f"context is a {type(context).__name__}; pass the asset's own context: `run(context, ...)`")
    if isinstance(run, type):
        raise usage_error(f"run is the class {run.__name__}; pass a run: `{run.__name__}(...)`")
    if not isinstance(run, RemoteRun):
        raise usage_error(f"run is a {type(run).__name__}; pass a run, for example a `RudderStackProfilesRun`")
    Step(context).asset_keys  # noqa: B018 - raises outside of an asset
    if run.vendor != resource.vendor:
        raise usage_error(f"A {type(run).__name__} needs a {run.vendor} resource, but got one of {resource.vendor}")
    try:
        options.check_for(type(run))
        filled = _filled(context, assets)
    except dg.DagsterInvalidDefinitionError as error:
        raise usage_error(str(error)) from None
    step = Step(context, name=name, filled=filled)
    _check_gate(step, run, options.gate, type(resource).__name__)
    return step


def _filled(context: dg.AssetExecutionContext, assets: Sequence[AssetKeyLike] | None) -> tuple[dg.AssetKey, ...]:
    if assets is None:
        return ()
    if isinstance(assets, (str, dg.AssetKey)) or not isinstance(assets, Sequence):
        raise usage_error(f"assets is {assets!r}; it must be a list of asset keys")
    if not assets:
        raise usage_error("assets is empty; leave it out if the run materializes all assets of this step")
    keys = dict.fromkeys(coerced_key("assets", key) for key in assets)
    selected = context.selected_asset_keys
    unknown = [key for key in keys if key not in selected]
    if unknown:
        why = f"assets names {_list_keys(unknown)}, but this step materializes only {_list_keys(selected)}"
        if set(unknown) <= set(context.assets_def.node_keys_by_output_name.values()):
            why += ", as the others were not selected: call `run()` only for keys in context.selected_asset_keys"
        raise usage_error(why)
    return tuple(keys)


def _list_keys(keys: Iterable[dg.AssetKey]) -> str:
    return ", ".join(sorted(key.to_user_string() for key in keys))


def coerced_key(argument: str, key: Any) -> dg.AssetKey:
    """Converts a value to an asset key.

    Raises:
        DagsterInvalidDefinitionError: The value cannot be converted.
    """
    if isinstance(key, dg.AssetKey):
        return key
    parts = [key] if isinstance(key, str) else key
    if not (isinstance(parts, (list, tuple)) and parts and all(isinstance(part, str) and part for part in parts)):
        raise dg.DagsterInvalidDefinitionError(
            f"{argument} has {key!r}; an asset key is a string, a list of strings or a dagster.AssetKey"
        )
    if isinstance(key, str) and "/" in key:
        raise dg.DagsterInvalidDefinitionError(
            f"{argument} has {key!r}; write a key of several parts as a list: {key.split('/')!r}"
        )
    return dg.AssetKey.from_coercible(key)


def _check_gate(step: Step, run: RemoteRun[Any], gate: QualityGate | None, resource_class: str) -> None:
    """Rejects a gate whose result could not be reported, or would not block although it should."""
    if gate is None:
        return
    # Not `check_specs`, which has only the selected checks: a job may leave out a declared check.
    declared = step.declared_checks
    needs_partitions = gate.blocking and step.partition is not None
    for asset in step.asset_keys:
        specs = {name: declared.get(dg.AssetCheckKey(asset, name)) for name in data_checks_of(run)}
        missing = [name for name, spec in specs.items() if spec is None]
        non_blocking = (
            [name for name, spec in specs.items() if spec is not None and not spec.blocking] if gate.blocking else []
        )
        known = [spec for spec in specs.values() if spec is not None]
        unpartitioned = [spec.name for spec in known if needs_partitions and not is_partitioned(spec)]
        if not (missing or non_blocking or unpartitioned):
            continue
        key = asset.to_user_string()
        problems = []
        if missing:
            problems.append(
                f"asset {key} does not declare {', '.join(missing)}, so their results could not be reported"
            )
        if non_blocking:
            problems.append(f"asset {key} declares {', '.join(non_blocking)} without `blocking=True`")
        if unpartitioned:
            problems.append(
                f"asset {key} has partitions and declares {', '.join(unpartitioned)} without them, so a partition "
                "that fails would stop blocking downstream assets as soon as another partition passes"
            )
        fields = ", ".join(f"{name}={value!r}" for name, value in gate.model_dump(exclude_defaults=True).items())
        raise usage_error(
            f"The gate judges {', '.join(specs)}, but {', and '.join(problems)}. Declare the checks in the asset's "
            f"decorator: check_specs={resource_class}.check_specs({type(run).__name__}, {_as_code(asset)}, "
            f"QualityGate({fields}){', partitions_def=...' if step.partition is not None else ''})"
        )


def _as_code(key: dg.AssetKey) -> str:
    """Returns a key as it is written in code."""
    return json.dumps(key.path[0] if len(key.path) == 1 else list(key.path))


def events_of(step: Step, run: RemoteRun[Any], execute: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Returns the events of a remote run, which starts when the first one is requested. Unused events fail the step.

    Args:
        step: The step.
        run: The run.
        execute: Starts the run and yields its events.
    """
    use = _EventUse(step, run)
    if not _may_leave_out_others(step, run):
        use.require_events()
    # This must be a real generator: Dagster iterates over an asset's return value only then, and stores any other
    # object.
    events = use.events(execute)
    finalize(events, use.on_discarded).atexit = False
    return events


def _may_leave_out_others(step: Step, run: RemoteRun[Any]) -> bool:
    """Whether the step has other outputs that it may leave out. Dagster could only require all outputs."""
    definition, filled = step.context.assets_def, set(step.asset_keys)
    reported = {dg.AssetCheckKey(key, name) for key in filled for name in (RUN_STATUS, *data_checks_of(run))}
    others = set(step.context.selected_asset_keys) - filled
    return any(definition.can_subset or definition.get_asset_spec(key).skippable for key in others) or (
        definition.can_subset and not step.check_keys <= reported
    )


class _EventUse:
    """Tracks what the user's code does with the events of a remote run."""

    def __init__(self, step: Step, run: RemoteRun[Any]) -> None:
        self._step = step
        self._run = run
        self._has_begun = False

    @property
    def _instructions(self) -> str:
        call = f"{self._run.resource_key}.run(context, ...)"
        return (
            f"Pass all events of `run()` on to Dagster: write `yield from {call}` or `return {call}`, and in an "
            f"`async def` with other yields `for event in {call}: yield event`. Otherwise, "
        )

    def require_events(self) -> None:
        """Makes Dagster fail the step if it ends without results for its assets and checks.

        Dagster Pipes uses the same method of the context for the same purpose. It cannot be undone.
        """
        self._step.context.set_requires_typed_event_stream(
            error_message=f"{self._instructions}the {self._run.label} is not started, or its result is not reported."
        )

    def events(self, execute: Callable[[], Iterator[Any]]) -> Generator[Any, None, None]:
        self._has_begun = True
        unfilled = set(self._step.asset_keys)
        try:
            for event in execute():
                if isinstance(event, dg.MaterializeResult):
                    unfilled.discard(event.asset_key)
                yield event
        except GeneratorExit:
            if unfilled:
                self._report_unused(f"the result of the {self._run.label} is not reported in full.")
            raise

    def on_discarded(self) -> None:
        """Runs when the events are garbage-collected: in CPython, as soon as nothing refers to them."""
        if not self._has_begun:
            self._report_unused(f"the {self._run.label} is not started, and nothing was started here.")

    def _report_unused(self, consequence: str) -> None:
        # The step may have ended if something kept a reference to the events. Then nothing can be done.
        with suppress(Exception):
            self._step.log.error(f"The events of `run()` were not used. {self._instructions}{consequence}")
            self.require_events()
