"""The assets that components have built in this process, so that equal ones are not built twice.

`dg list defs` loads all components twice, while it imports Python files only once. Building an asset is the larger part
of loading it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from dagster_runs.assets import build_remote_run_asset
from dagster_runs.remote_run.contract import RemoteRun


@dataclass(frozen=True)
class _Arguments:
    """What an asset is built from."""

    run: RemoteRun[Any]
    spec: dg.AssetSpec
    resource_key: str
    options: Mapping[str, Any]


_newest: dict[Any, dict[dg.AssetKey, tuple[_Arguments, dg.AssetsDefinition]]] = {}
"""The assets that each component had when it was last loaded."""


@dataclass
class BuiltAssets:
    """Builds the assets of one component, or finds those that it built before from the same arguments.

    Attributes:
        component: What identifies the component, and what its assets belong to in addition to their arguments.
    """

    component: Any
    _built: dict[dg.AssetKey, tuple[_Arguments, dg.AssetsDefinition]] = field(default_factory=dict, init=False)

    def build(
        self, run: RemoteRun[Any], spec: dg.AssetSpec, *, resource_key: str, options: Mapping[str, Any]
    ) -> dg.AssetsDefinition:
        """Returns the asset of a run.

        Raises:
            DagsterInvalidDefinitionError: An argument is invalid.
        """
        wanted = _Arguments(run, spec, resource_key, options)
        arguments, asset = _newest.get(self.component, {}).get(spec.key, (None, None))
        if asset is None or arguments != wanted:
            asset = build_remote_run_asset(run, specs=[spec], resource_key=resource_key, **options)
        self._built[spec.key] = (wanted, asset)
        return asset

    def keep(self) -> None:
        """Keeps the assets for the next time that the component is loaded, in place of the earlier ones."""
        _newest[self.component] = self._built
