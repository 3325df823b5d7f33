"""Refuses blocking checks where they would not do what the user expects."""

from collections.abc import Collection, Iterable, Mapping

import dagster as dg

from dagster_runs.table_checks.code_location import asset_graph_of, is_undefined, upstream_in

_ADVICE = (
    "Leave blocking out, and give the downstream assets the automation condition "
    "`AutomationCondition.eager() & AutomationCondition.all_deps_blocking_checks_passed()` with checks that block in "
    "suites of their own; or check the tables in separate suites or table groups"
)


def upstream_problem(
    blocking: Collection[dg.AssetKey],
    checked: Collection[dg.AssetKey],
    upstream_of: Mapping[dg.AssetKey, Collection[dg.AssetKey]],
) -> str | None:
    """Returns why checks must not block: a checked table is upstream of another one; ``None`` if none is.

    Dagster lets everything downstream of a table wait for the blocking checks of that table. So it would have to test
    the table before it materializes the other one, and the other one after that: two runs of the whole suite in one
    Dagster run, the first of which tests old data of the second table.

    Args:
        blocking: The assets with blocking checks.
        checked: All assets with checks.
        upstream_of: For each asset, the assets upstream of it, at any distance.
    """
    for key in sorted(checked, key=lambda key: list(key.path)):
        for upstream in sorted(set(upstream_of.get(key, ())) & set(blocking) - {key}, key=lambda one: list(one.path)):
            return (
                f"The checks of {upstream.to_user_string()} cannot block: it is upstream of {key.to_user_string()}, "
                "which the same run covers. Dagster would start the whole run twice, before and after it materializes "
                f"{key.to_user_string()}. {_ADVICE}."
            )
    return None


def location_problem(undefined: Iterable[dg.AssetKey]) -> str | None:
    """Returns why checks must not block: their tables are in another code location; ``None`` if none is.

    Args:
        undefined: The assets with blocking checks that the code location does not define.
    """
    names = sorted(key.to_user_string() for key in undefined)
    if not names:
        return None
    return (
        f"The checks of {', '.join(names)} cannot block: this code location does not define these assets, and "
        "Dagster lets a check of another code location hold back nothing. Leave blocking out, or build the checks in "
        "the code location of the assets."
    )


def refuse_in_step(
    context: dg.AssetCheckExecutionContext, checks: dg.AssetChecksDefinition, suite: dg.AssetKey
) -> None:
    """Refuses blocking checks by what the loaded code location shows. Nothing is started.

    The suite's asset is downstream of the tables and may have blocking checks as well. Dagster does not split the op
    for it, because no step materializes it (measured on 1.12.0 and 1.13.27).

    Args:
        context: The step's context.
        checks: The definition of the checks.
        suite: The asset that shows the suite's runs.

    Raises:
        dagster.Failure: They would not block, or Dagster would have to start the run twice. Not retried.
    """
    blocking = {spec.asset_key for spec in checks.check_specs if spec.blocking}
    if not blocking:
        return
    graph = asset_graph_of(context)
    checked = {spec.asset_key for spec in checks.check_specs} - {suite}
    upstream = {key: upstream_in(graph, key) for key in checked}
    undefined = [key for key in blocking if is_undefined(graph, key)]
    problem = location_problem(undefined) or upstream_problem(blocking, checked, upstream)
    if problem is not None:
        raise dg.Failure(description=f"{problem} Nothing was started.", allow_retries=False)
