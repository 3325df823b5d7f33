"""Connects the resources of definitions to simulated vendors, and finds the remote runs of definitions."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.registry import RemoteAsset, find_remote

_OF_THE_CONNECTION = frozenset({"requests_per_second", "allow_plain_http", "ca_bundle", "run_url_template"})
"""Settings that every resource has, and that belong to the real vendor."""


def connected(
    definitions: dg.Definitions,
    built_in: Mapping[str, RemoteRunResource],
    own: Mapping[str, RemoteRunResource],
) -> dg.Definitions:
    """Returns definitions with other resources.

    Args:
        definitions: The definitions.
        built_in: A connected resource of each built-in vendor.
        own: Further connected resources. Each replaces the one with the same key.
    """
    resources = {
        key: own[key] if key in own else _connected_resource(resource, built_in)
        for key, resource in (definitions.resources or {}).items()
    }
    return dg.Definitions(
        assets=definitions.assets,
        schedules=definitions.schedules,
        sensors=definitions.sensors,
        jobs=definitions.jobs,
        resources=resources,
        executor=definitions.executor,
        loggers=definitions.loggers,
        asset_checks=definitions.asset_checks,
        metadata=definitions.metadata,
        component_tree=definitions.component_tree,
    )


def _connected_resource(resource: Any, built_in: Mapping[str, RemoteRunResource]) -> Any:
    if not isinstance(resource, RemoteRunResource):
        return resource
    vendor = next((one for one in built_in.values() if isinstance(resource, type(one))), None)
    if vendor is None:
        return resource
    shared = RemoteRunResource.model_fields.keys() - _OF_THE_CONNECTION
    kept = {name: value for name, value in resource if name in shared}
    # What a subclass adds is kept too; the vendor's own fields are those of the connection.
    added = {name: value for name, value in resource if name not in type(vendor).model_fields}
    return type(resource)(**{**dict(vendor), **kept, **added})


def remote_assets_in(definitions: dg.Definitions) -> Iterator[RemoteAsset]:
    """Yields how the assets and the checks of suites are run, of those that a remote run materializes or evaluates."""
    for definition in (*(definitions.assets or ()), *(definitions.asset_checks or ())):
        remote = find_remote(definition)
        if remote is not None:
            yield remote
