"""Registers what a sensor needs to know about each remote run's asset. Dagster's definition has no field for it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import dagster as dg

from dagster_runs import dagster_private
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.closing import CompletionSensor
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.wording import with_article


@dataclass(frozen=True)
class RemoteAsset:
    """How the assets of one definition are run.

    Attributes:
        run_class: The kind of run.
        options: The user's options.
        resource_key: The resource's key.
        run: The remote run; ``None`` if a function creates it in the step.
    """

    run_class: type[RemoteRun[Any]]
    options: RunOptions
    resource_key: str
    run: RemoteRun[Any] | None

    def resource_in(self, resources: Any) -> RemoteRunResource:
        """Returns the vendor's resource from a context's resources.

        Raises:
            dagster.Failure: It is another vendor's resource, or not one of this package.
        """
        found = getattr(resources, self.resource_key)
        if not isinstance(found, RemoteRunResource) or found.vendor != self.run_class.vendor:
            is_class = isinstance(found, type) and issubclass(found, RemoteRunResource)
            what = f"the class {found.__name__}" if is_class else with_article(type(found).__name__)
            raise dg.Failure(
                f"The resource {self.resource_key!r} is {what}; "
                f"{with_article(self.run_class.__name__)} needs {self.run_class.vendor}'s. "
                + (
                    f"Pass a resource: `{found.__name__}(...)`."
                    if is_class
                    else f"Put {self.run_class.vendor}'s resource under this key, or set resource_key to its key."
                ),
                allow_retries=False,
            )
        return found


# The key is the op, which stays the same when Dagster copies a definition with other attributes.
_remote_assets: WeakKeyDictionary[dg.OpDefinition, RemoteAsset] = WeakKeyDictionary()

# The completion sensor of each op's assets. Copies of a definition may have other keys, and their own runs.
_completion_sensors: WeakKeyDictionary[dg.OpDefinition, dict[dg.AssetKey, str]] = WeakKeyDictionary()

_suites: WeakKeyDictionary[dg.OpDefinition, tuple[RemoteAsset, dg.AssetSpec]] = WeakKeyDictionary()
"""How the suite of each op's checks is run, and the asset that shows its runs."""

_on_by_default: set[str] = set()
"""The completion sensors that are on unless a user turns them off."""


def register(assets: dg.AssetsDefinition, remote: RemoteAsset) -> None:
    """Registers what the factory made the assets from."""
    _remote_assets[assets.op] = remote


def register_suite(checks: dg.AssetsDefinition, remote: RemoteAsset, shown_on: dg.AssetSpec) -> None:
    """Registers how the suite of some checks is run, and the asset that shows its runs."""
    _suites[checks.op] = remote, shown_on


def find_remote(definition: Any) -> RemoteAsset | None:
    """Returns how a definition of a code location is run: an asset, or the checks of a suite; ``None`` for others."""
    if not _has_op(definition):
        return None
    suite = _suites.get(definition.op)
    return _remote_assets.get(definition.op) or (suite[0] if suite is not None else None)


@runtime_checkable
class Watchable(Protocol):
    """Something whose runs a sensor can report, other than an asset from `build_remote_run_asset`."""

    def as_watched(self) -> "WatchedAsset":
        """Returns it in the form that the sensor uses."""


@dataclass(frozen=True, eq=False)
class WatchedAsset:
    """One definition whose runs a sensor reports.

    Attributes:
        definition: The definition. It is not executable if only the vendor starts the runs.
        remote: How it is run.
        separate_check_specs: Checks of the assets that are not part of the definition.
        checks: For a suite whose results are checks of other assets: these checks, whose op starts a run. The
            definition is then that of the asset that only shows the suite's runs.
        suite: The `TableSuite` of these checks.
    """

    definition: dg.AssetsDefinition
    remote: RemoteAsset
    separate_check_specs: tuple[dg.AssetCheckSpec, ...] = ()
    checks: dg.AssetChecksDefinition | None = None
    suite: Any = None

    @property
    def executed(self) -> dg.AssetsDefinition:
        """The definition whose op starts a run."""
        return self.definition if self.checks is None else self.checks

    @property
    def selection(self) -> dg.AssetSelection:
        """What a job selects to start a run."""
        if self.checks is not None:
            return dg.AssetSelection.checks(*self.checks.check_keys)
        return dg.AssetSelection.assets(*self.keys)

    @cached_property
    def keys(self) -> tuple[dg.AssetKey, ...]:
        """The assets that a run materializes, in a fixed order."""
        return tuple(sorted(self.definition.keys, key=lambda key: tuple(key.path)))

    @property
    def name(self) -> str:
        """The assets, for messages."""
        return _names(self.definition)

    @property
    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """The checks that a run reports."""
        return [*self.definition.check_specs, *self.separate_check_specs]

    @cached_property
    def check_keys(self) -> frozenset[dg.AssetCheckKey]:
        """The keys of the checks that a run reports."""
        return frozenset([*self.definition.check_keys, *(spec.key for spec in self.separate_check_specs)])

    @property
    def fixed_run(self) -> RemoteRun[Any]:
        """The remote run of an asset that `resolve_observable` accepts."""
        if self.remote.run is None:
            raise dg.DagsterInvalidDefinitionError(
                f"The runs of {_names(self.definition)} are created by a function in its step, so runs started "
                "elsewhere cannot be matched to it"
            )
        return self.remote.run


def resolve_assets(assets: Iterable[Any], *, deferred: bool) -> list[WatchedAsset]:
    """Returns each definition with the `RemoteAsset` that it was built from.

    Args:
        assets: Assets from `build_remote_run_asset`.
        deferred: Whether each must have ``wait="defer"``.

    Raises:
        DagsterInvalidDefinitionError: One of them is not such an asset, or an asset is given twice.
    """
    found: list[WatchedAsset] = []
    for definition in assets:
        asset = resolve_asset(definition)
        wait = asset.remote.options.wait
        if deferred and wait != "defer":
            raise dg.DagsterInvalidDefinitionError(
                f"{asset.name} has wait={wait!r}: its steps wait for its runs themselves. Set wait='defer', or "
                "remove it from assets."
            )
        found.append(asset)
    if not found:
        raise dg.DagsterInvalidDefinitionError(
            "assets is empty, so there are no runs to report. Pass the deferred assets, or leave the sensor out"
        )
    check_unique(found)
    return found


def resolve_asset(definition: Any) -> WatchedAsset:
    """Returns a definition with the `RemoteAsset` that it was built from.

    Raises:
        DagsterInvalidDefinitionError: It is not built from a remote run.
    """
    if isinstance(definition, Watchable) and not isinstance(definition, type):
        return definition.as_watched()
    remote = _remote_assets.get(definition.op) if _has_op(definition) else None
    if remote is None:
        raise dg.DagsterInvalidDefinitionError(
            f"{_described(definition)} is not an asset from build_remote_run_asset, so its runs are not "
            "known. Leave it out, or pass what build_remote_run_asset returned"
        )
    return WatchedAsset(definition, remote)


def find_watched(definition: dg.AssetsDefinition) -> WatchedAsset | None:
    """Returns a definition of a code location with what it was built from; ``None`` if that is not a remote run.

    A suite's checks are returned with the asset that shows its runs, but without how they are judged.
    """
    if not _has_op(definition):
        return None
    suite = _suites.get(definition.op)
    if suite is not None and isinstance(definition, dg.AssetChecksDefinition):
        remote, shown_on = suite
        return WatchedAsset(dg.AssetsDefinition(specs=[shown_on]), remote, checks=definition)
    found = _remote_assets.get(definition.op)
    return WatchedAsset(definition, found) if found is not None else None


def check_unique(assets: Iterable[WatchedAsset]) -> None:
    """Raises if two definitions have the same asset, or the same check of an asset.

    Raises:
        DagsterInvalidDefinitionError: They do.
    """
    assets = list(assets)
    check_unique_checks(asset.checks for asset in assets if asset.checks is not None)
    times = Counter(key.to_user_string() for asset in assets for key in asset.keys)
    duplicates = [key for key, count in times.items() if count > 1]
    if duplicates:
        raise dg.DagsterInvalidDefinitionError(f"{', '.join(sorted(duplicates))} is given twice")


def check_unique_checks(definitions: Iterable[dg.AssetsDefinition]) -> None:
    """Raises if two definitions have the same check of an asset. Dagster's own message names neither of them.

    Raises:
        DagsterInvalidDefinitionError: They do.
    """
    found: dict[dg.AssetCheckKey, tuple[dg.AssetsDefinition, dg.AssetCheckSpec]] = {}
    for definition in definitions:
        for spec in definition.check_specs:
            other, first = found.setdefault(spec.key, (definition, spec))
            if other is not definition:
                both = f"{_named_check(other, first)} and {_named_check(definition, spec)}"
                remedy = "Leave the table out in one of the two suites"
                if not (_is_of_suite(first) and _is_of_suite(spec)):
                    remedy = "Rename your own check, or leave the table out in the suite"
                raise dg.DagsterInvalidDefinitionError(
                    f"Two definitions have the check {spec.name} of {spec.asset_key.to_user_string()}: {both}. Dagster "
                    f"allows only one of them. {remedy}, with a mapping in tables that does not have it"
                )


def _named_check(definition: dg.AssetsDefinition, spec: dg.AssetCheckSpec) -> str:
    return definition.node_def.name + (f" ({spec.description})" if spec.description else "")


def _is_of_suite(spec: dg.AssetCheckSpec) -> bool:
    """Whether this package has declared a check of a table. One of your own may have the same name."""
    return f"{spec.name.partition('__')[0]}/table" in (spec.metadata or {})


def check_defined(assets: Iterable[WatchedAsset], repository: dg.RepositoryDefinition | None) -> None:
    """Raises if the code location does not have the assets under their keys, because they got other keys on loading.

    Args:
        assets: The assets.
        repository: The code location's definitions; ``None`` in a test that has none.

    Raises:
        DagsterInvalidDefinitionError: One of them is not defined.
    """
    if repository is None:
        return
    defined = repository.assets_defs_by_key
    missing = sorted(
        key.to_user_string()
        for asset in assets
        for key in asset.keys
        if key not in defined and key not in repository.source_assets_by_key
    )
    if missing:
        raise dg.DagsterInvalidDefinitionError(
            f"{', '.join(missing)} is not defined in this code location, perhaps because it has another key there: "
            "load_assets_from_modules(..., key_prefix=...) gives assets new keys. Pass the assets as they are loaded."
        )


def completion_sensor_of(definition: dg.AssetsDefinition, instance: dg.DagsterInstance) -> CompletionSensor:
    """Returns the completion sensor of these assets, and why it would not start or report their runs."""
    sensors = sorted(set(_completion_sensors.get(definition.op, {}).values()))
    if not sensors:
        problem = "this code location has no completion sensor for the asset. Add one with build_completion_sensor"
        return CompletionSensor(None, problem)
    for name in sensors:
        if dagster_private.is_sensor_on(instance, name, default=name in _on_by_default):
            return CompletionSensor(name, None)
    problem = f"the completion sensor {sensors[0]} is off. Turn it on in the UI under Automation"
    return CompletionSensor(sensors[0], problem)


def claim_for_sensor(assets: Sequence[WatchedAsset], sensor: str, *, is_on_by_default: bool = False) -> None:
    """Records which completion sensor reports the assets' runs. Two sensors would report each outcome twice.

    Args:
        assets: The assets.
        sensor: The sensor's name.
        is_on_by_default: Whether the sensor is on unless a user turns it off.

    Raises:
        DagsterInvalidDefinitionError: Another sensor already reports them.
    """
    for asset in assets:
        sensors_by_key = _completion_sensors.setdefault(asset.executed.op, {})
        other = next((sensors_by_key[key] for key in asset.keys if sensors_by_key.get(key, sensor) != sensor), None)
        if other is not None:
            raise dg.DagsterInvalidDefinitionError(
                f"{_names(asset.definition)} already belongs to the completion sensor {other!r}, so {sensor!r} would "
                "report each outcome twice. Pass it to only one of them."
            )
    if is_on_by_default:
        _on_by_default.add(sensor)
    for asset in assets:
        _completion_sensors[asset.executed.op].update(dict.fromkeys(asset.keys, sensor))


def _has_op(definition: Any) -> bool:
    return (
        isinstance(definition, dg.AssetsDefinition)
        and definition.is_executable
        and isinstance(definition.node_def, dg.OpDefinition)
    )


def _described(definition: Any) -> str:
    return f"The asset {_names(definition)}" if isinstance(definition, dg.AssetsDefinition) else repr(definition)


def _names(definition: dg.AssetsDefinition) -> str:
    return ", ".join(sorted(key.to_user_string() for key in definition.keys))
