"""The assets that the observation sensor reports. Some of them only the vendor can materialize."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.data_checks import data_checks_of
from dagster_runs.remote_run.execution.event_log import reported_run
from dagster_runs.remote_run.execution.events import RUN_STATUS, check_specs, run_status_outcome
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.sensors.grouping import group_by
from dagster_runs.sensors.registry import RemoteAsset, Watchable, WatchedAsset, check_unique, resolve_assets


@dataclass(frozen=True)
class ObservedAsset:
    """An asset whose runs only the vendor starts. Dagster shows it without a *Materialize* button.

    Its description, kinds, owners and dependencies are those of the spec, which must also be in your definitions.

    Args:
        spec: The asset.
        run: The run that materializes it.
        gate: The quality gate. The checks that it judges must be declared; see `build_checks`.
        resource_key: The resource's key. Defaults to the vendor's name in lower case.
    """

    spec: dg.AssetSpec
    run: RemoteRun[Any]
    gate: QualityGate | None = None
    resource_key: str | None = None

    def __post_init__(self) -> None:
        """Validates the arguments.

        Raises:
            DagsterInvalidDefinitionError: One of them is invalid. The message says which one and why.
        """
        if not isinstance(self.spec, dg.AssetSpec):
            raise dg.DagsterInvalidDefinitionError(f"spec is {self.spec!r}; it must be a dagster.AssetSpec")
        if not isinstance(self.run, RemoteRun):
            raise dg.DagsterInvalidDefinitionError(
                f"The run of {self._name} is {self.run!r}; it must be a run, for example a TestGenTestRun"
            )
        if not isinstance(self.resource_key, (str, type(None))):
            raise dg.DagsterInvalidDefinitionError(
                f"The resource_key of {self._name} is {self.resource_key!r}; it must be the key of a resource"
            )
        RunOptions(gate=self.gate).check_for(type(self.run))

    def build_checks(self) -> dg.AssetChecksDefinition:
        """Returns the definition of the checks that the sensor reports for this asset.

        Dagster shows only declared checks, and it can declare a check of such an asset only together with code that
        evaluates it. If a user executes the checks, they evaluate the last reported run again.
        """
        remote = self._remote

        @dg.multi_asset_check(
            name=f"{self.spec.key.to_python_identifier()}_checks",
            specs=check_specs(self.run, self.spec.key, self.gate),
            description=f"Evaluates the last reported run of {self._name} again.",
            required_resource_keys={remote.resource_key},
            can_subset=True,  # there may be nothing to evaluate
        )
        def evaluate_again(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            yield from self._evaluate_again(context, remote)

        return evaluate_again

    def _evaluate_again(
        self, context: dg.AssetCheckExecutionContext, remote: RemoteAsset
    ) -> Iterator[dg.AssetCheckResult]:
        records = context.instance.fetch_materializations(self.spec.key, limit=1).records
        run_id = reported_run(records[0]) if records else None
        if run_id is None:
            context.log.warning("No run of %s has been reported yet, so its checks are not evaluated", self._name)
            return
        resource = remote.resource_in(context.resources)
        status = self.run.get_status(resource, run_id)
        result = self.run.get_result(resource, run_id, status, self.gate)
        selected = context.selected_asset_check_keys
        for outcome in [run_status_outcome(self.run, run_id, status), *result.checks]:
            if dg.AssetCheckKey(self.spec.key, outcome.name) in selected:
                yield dg.AssetCheckResult(
                    asset_key=self.spec.key,
                    check_name=outcome.name,
                    passed=outcome.passed,
                    severity=outcome.severity,
                    description=outcome.description,
                    metadata=dict(outcome.metadata),
                )

    @property
    def _name(self) -> str:
        return self.spec.key.to_user_string()

    @property
    def _remote(self) -> RemoteAsset:
        resource_key = self.resource_key or type(self.run).resource_key
        return RemoteAsset(type(self.run), RunOptions(gate=self.gate), resource_key, self.run)

    def as_watched(self) -> WatchedAsset:
        """Returns the asset in the form that the sensor uses."""
        return WatchedAsset(dg.AssetsDefinition(specs=[self.spec]), self._remote)


def resolve_observable(assets: Any) -> list[WatchedAsset]:
    """Returns the assets, after checking that runs started elsewhere can be matched to each of them.

    Args:
        assets: Assets from `build_remote_run_asset`, pairs of a spec and a run, and `ObservedAsset`s.

    Raises:
        DagsterInvalidDefinitionError: Runs of an asset cannot be recognized. The message says why.
    """
    items = assets.items() if isinstance(assets, Mapping) else assets
    found = [watched for item in items for watched in _resolve(item)]
    if not found:
        raise dg.DagsterInvalidDefinitionError(
            "assets is empty, so there are no runs to report. Pass the assets to observe, or leave the sensor out"
        )
    check_unique(found)
    for asset in found:
        problem = asset.fixed_run.observation_problem()
        if problem is not None:
            raise dg.DagsterInvalidDefinitionError(f"{asset.name} cannot be observed: {problem}")
        if asset.definition.partitions_def is not None:
            raise dg.DagsterInvalidDefinitionError(
                f"{asset.name} cannot be observed: it has partitions, and it is unknown which of them a run started "
                "elsewhere materializes"
            )
    _check_targets(found)
    return found


def _resolve(item: Any) -> list[WatchedAsset]:
    if isinstance(item, Watchable) and not isinstance(item, type):
        return [item.as_watched()]
    if isinstance(item, dg.AssetSpec):  # which is a tuple too
        raise dg.DagsterInvalidDefinitionError(
            f"The AssetSpec {item.key.to_user_string()} is not an asset from build_remote_run_asset. If only the "
            "vendor starts its runs, pass it together with the run, as the pair (spec, run)"
        )
    if isinstance(item, tuple):
        if len(item) != 2:
            raise dg.DagsterInvalidDefinitionError(f"assets contains {item!r}; a pair is an AssetSpec and a run")
        return [ObservedAsset(*item).as_watched()]
    return resolve_assets([item], deferred=False)


def _check_targets(assets: Iterable[WatchedAsset]) -> None:
    """Rejects two assets that the same runs would materialize, because a run is reported for only one of them."""
    by_target = group_by(assets, lambda asset: (asset.remote.resource_key, asset.fixed_run.observed_target))
    for (_, target), same in by_target.items():
        for one, other in combinations(same, 2):
            if not _have_same_runs(one.remote.run_class, other.remote.run_class):
                continue
            raise dg.DagsterInvalidDefinitionError(
                f"{one.name} and {other.name} cannot both be observed: the same runs of {target} would materialize "
                "them, and each run is reported for one definition"
            )


def _have_same_runs(one: type[RemoteRun[Any]], other: type[RemoteRun[Any]]) -> bool:
    """Whether two classes of runs are the same kind of run. A subclass only reports the same runs differently."""
    return issubclass(one, other) or issubclass(other, one)


def with_declared_checks(asset: WatchedAsset, repository: dg.RepositoryDefinition | None) -> WatchedAsset:
    """Returns an asset that only the vendor runs with its checks, which the code location declares separately.

    Raises:
        DagsterInvalidDefinitionError: A check that the asset's gate judges is not declared.
    """
    if asset.definition.is_executable or repository is None:
        return asset
    names = {RUN_STATUS, *data_checks_of(asset.fixed_run)}
    definitions = {id(one): one for one in repository.asset_checks_defs_by_key.values()}.values()
    declared = {
        spec.key: spec
        for definition in definitions
        for spec in definition.check_specs
        if spec.asset_key in asset.keys and spec.name in names
    }
    missing = sorted(names - {key.name for key in declared} - {RUN_STATUS})
    if asset.remote.options.gate is not None and missing:
        raise dg.DagsterInvalidDefinitionError(
            f"{asset.name} has a gate, but this code location does not declare {', '.join(missing)}, so their results "
            "could not be reported. Add ObservedAsset.build_checks() to asset_checks."
        )
    return replace(asset, separate_check_specs=tuple(declared.values()))
