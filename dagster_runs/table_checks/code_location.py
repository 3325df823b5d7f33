"""What is known about a code location: by the step of a suite's checks, and by definitions before they are loaded.

For a step, Dagster's public API has no queries. The attributes that are read here need no private import. Nothing of
the package is called while Dagster loads a code location with the assets of others: it calls only what resolves the
selections of jobs and sensors, and the partition mappings of dependencies (Dagster 1.13.27).
"""

from typing import Any

import dagster as dg

from dagster_runs.dagster_private import CheckError


def specs_in(definitions: dg.Definitions) -> list[dg.AssetSpec]:
    """Returns the specs of the assets in definitions."""
    found: list[dg.AssetSpec] = []
    for asset in definitions.assets or ():
        if isinstance(asset, dg.AssetsDefinition):
            found += asset.specs
        elif isinstance(asset, dg.AssetSpec):
            found.append(asset)
        elif isinstance(asset, dg.SourceAsset):
            found.append(dg.AssetSpec(asset.key))
    return found


def asset_graph_of(context: Any) -> Any:
    """Returns the asset graph of a step's code location, or of its job if the step runs without a code location.

    `asset_graph` and `asset_layer` are not part of the documented API, and neither is another way to find out what is
    upstream of an asset that the job does not select.

    Args:
        context: The step's context.
    """
    try:
        return context.repository_def.asset_graph
    except CheckError:  # in `execute_in_process` of a job that belongs to no repository
        return context.job_def.asset_layer.asset_graph


def is_undefined(graph: Any, key: dg.AssetKey) -> bool:
    """Whether a code location has no definition of an asset, but only checks or dependents of it.

    Args:
        graph: The result of `asset_graph_of`.
        key: The asset.
    """
    return not graph.has(key) or bool(graph.get(key).assets_def.is_auto_created_stub)


def upstream_in(graph: Any, key: dg.AssetKey) -> frozenset[dg.AssetKey]:
    """Returns the assets upstream of an asset, at any distance.

    Args:
        graph: The result of `asset_graph_of`.
        key: The asset.
    """
    found: set[dg.AssetKey] = set()
    remaining = [key]
    while remaining:
        one = remaining.pop()
        parents = graph.get(one).parent_keys if graph.has(one) else ()
        remaining += set(parents) - found
        found |= set(parents)
    return frozenset(found - {key})


def has_several_steps(context: Any) -> bool:
    """Whether Dagster has split the op of a step into several steps of the same job.

    `JobDefinition.nodes` is not part of the documented API.

    Args:
        context: The step's context.
    """
    op = context.op_def
    names = [str(node.definition.name) for node in context.job_def.nodes]
    return names.count(str(op.name)) > 1
