"""What a sensor must know of a remote run's asset, kept beside the asset: Dagster's definition has no room for it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.wording import with_article


@dataclass(frozen=True)
class RemoteAsset:
    """How the assets of one definition are run.

    Attributes:
        run_class: The kind of run.
        options: The user's choices.
        resource_key: The resource's key.
        run: What is run; ``None`` where a function decides that in the step.
    """

    run_class: type[RemoteRun[Any]]
    options: RunOptions
    resource_key: str
    run: RemoteRun[Any] | None

    def resource_in(self, resources: Any) -> RemoteRunResource:
        """The vendor's resource among a context's resources.

        Raises:
            DagsterInvariantViolationError: It is another vendor's, or none of this package's.
        """
        found = getattr(resources, self.resource_key)
        if not isinstance(found, RemoteRunResource) or found.vendor != self.run_class.vendor:
            raise dg.DagsterInvariantViolationError(
                f"The resource {self.resource_key!r} is {with_article(type(found).__name__)}; "
                f"{with_article(self.run_class.__name__)} needs {self.run_class.vendor}'s. "
                "Set resource_key to the key of such a resource."
            )
        return found


# By the op, which a definition keeps when Dagster copies it with other attributes.
_known: WeakKeyDictionary[dg.OpDefinition, RemoteAsset] = WeakKeyDictionary()

# The completion sensor of each, likewise; copies may have other keys, and runs of their own.
_told_by: WeakKeyDictionary[dg.OpDefinition, dict[dg.AssetKey, str]] = WeakKeyDictionary()


def register(assets: dg.AssetsDefinition, remote: RemoteAsset) -> None:
    """Note what the factory made the assets from."""
    _known[assets.op] = remote


@dataclass(frozen=True, eq=False)
class WatchedAsset:
    """One definition that a sensor watches."""

    definition: dg.AssetsDefinition
    remote: RemoteAsset

    @cached_property
    def keys(self) -> tuple[dg.AssetKey, ...]:
        """The assets that a run fills, in a fixed order."""
        return tuple(sorted(self.definition.keys, key=lambda key: tuple(key.path)))

    @cached_property
    def check_keys(self) -> frozenset[dg.AssetCheckKey]:
        """The checks that a run reports."""
        return frozenset(self.definition.check_keys)

    @property
    def fixed_run(self) -> RemoteRun[Any]:
        """What is run, of an asset that `observable` lets pass."""
        if self.remote.run is None:
            raise dg.DagsterInvalidDefinitionError(
                f"What {_named(self.definition)} runs is decided by a function in its step, so others' runs cannot be "
                "told to be of it"
            )
        return self.remote.run


def resolve_observable(assets: Iterable[Any]) -> list[WatchedAsset]:
    """The definitions whose runs can be told when others start them.

    Raises:
        DagsterInvalidDefinitionError: One of them cannot, and why.
    """
    found = resolve_assets(assets, deferred=False)
    for asset in found:
        name = _named(asset.definition)
        if asset.fixed_run.observation_unsupported_reason:
            raise dg.DagsterInvalidDefinitionError(
                f"{name} cannot be observed: {asset.fixed_run.observation_unsupported_reason}"
            )
        if asset.definition.partitions_def is not None:
            raise dg.DagsterInvalidDefinitionError(
                f"{name} cannot be observed: it has partitions, and nobody can tell which of them another's run fills"
            )
    return found


def resolve_assets(assets: Iterable[Any], *, deferred: bool) -> list[WatchedAsset]:
    """The definitions with what the factory made them from.

    Args:
        assets: Assets from `build_remote_run_asset`.
        deferred: Whether each must have ``wait="defer"``.

    Raises:
        DagsterInvalidDefinitionError: One of them is something else; or an asset comes twice.
    """
    found: list[WatchedAsset] = []
    for definition in assets:
        remote = _known.get(definition.op) if _has_op(definition) else None
        if remote is None:
            raise dg.DagsterInvalidDefinitionError(
                f"{definition!r} is no asset from build_remote_run_asset, so its runs cannot be followed"
            )
        if deferred and remote.options.wait != "defer":
            raise dg.DagsterInvalidDefinitionError(
                f"{_named(definition)} has wait={remote.options.wait!r}: its steps wait for its runs themselves. Give "
                "it wait='defer', or leave it out."
            )
        found.append(WatchedAsset(definition, remote))
    if not found:
        raise dg.DagsterInvalidDefinitionError("assets is empty, so there is nothing to follow")
    times = Counter(key.to_user_string() for asset in found for key in asset.keys)
    twice = [key for key, count in times.items() if count > 1]
    if twice:
        raise dg.DagsterInvalidDefinitionError(f"{', '.join(sorted(twice))} is given twice")
    return found


def check_defined(assets: Iterable[WatchedAsset], repository: dg.RepositoryDefinition | None) -> None:
    """Refuse assets that the code location does not have under their keys, as they got other keys on loading.

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


def claim_for_sensor(assets: Sequence[WatchedAsset], sensor: str) -> None:
    """Note which completion sensor tells of the assets' runs: two would tell each end twice.

    Raises:
        DagsterInvalidDefinitionError: Another one does already.
    """
    for asset in assets:
        of_keys = _told_by.setdefault(asset.definition.op, {})
        other = next((of_keys[key] for key in asset.keys if of_keys.get(key, sensor) != sensor), None)
        if other is not None:
            raise dg.DagsterInvalidDefinitionError(
                f"{_named(asset.definition)} belongs to the completion sensor {other!r} already, so {sensor!r} would "
                "tell the end of each run once more. Give it to one of them."
            )
    for asset in assets:
        _told_by[asset.definition.op].update(dict.fromkeys(asset.keys, sensor))


def _has_op(definition: Any) -> bool:
    return (
        isinstance(definition, dg.AssetsDefinition)
        and definition.is_executable
        and isinstance(definition.node_def, dg.OpDefinition)
    )


def _named(definition: dg.AssetsDefinition) -> str:
    return ", ".join(sorted(key.to_user_string() for key in definition.keys))
