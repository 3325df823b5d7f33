"""Table groups of the sandbox with chosen profiles, and what the event log has about them."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs import TestGenProfilingRun
from dagster_runs.sandbox import Behavior, Sandbox
from tests.table_checks import suites

GROUP = "9a0f11e0-0000-4000-8000-000000000001"
RUN = TestGenProfilingRun(table_group_id=GROUP)
PROFILE_KEY = dg.AssetKey(["testgen", "testgen_profile_9a0f11e0"])
CHECK = "testgen__hygiene_issues"


def column(table: str | None, name: str | None = "id", rows: int | None = 1_000, **fields: Any) -> dict[str, Any]:
    """A column in the shape of the API."""
    return {"table_name": table, "column_name": name, "record_ct": rows, **fields}


def issue(table: str, likelihood: str | None = "definite", name: str = "id", **fields: Any) -> dict[str, Any]:
    """A hygiene issue in the shape of the API."""
    return {"table_name": table, "likelihood": likelihood, "column_name": name, **fields}


def add_group(
    sandbox: Sandbox,
    columns: Sequence[Mapping[str, Any]],
    issues: Sequence[Mapping[str, Any]] = (),
    pii: Sequence[Mapping[str, Any]] = (),
    **behavior: Any,
) -> None:
    found: dict[str, Any] = {"columns": [*columns], "issues": [*issues], "pii": [*pii]}
    times = {"queued_seconds": 0, "running_seconds": 2, "score_delay": 0, **behavior}
    sandbox.add_target("testgen", "table_group", GROUP, Behavior(**found, **times))


def key(name: str) -> dg.AssetCheckKey:
    return suites.key(name, CHECK)


def outcomes(instance: dg.DagsterInstance, *names: str) -> dict[str, Any]:
    """The newest evaluation of the check of each table: passed, or the severity; ``None`` if there is none."""
    found: dict[str, Any] = {}
    for name in names:
        newest = next(iter(suites.evaluated(instance, key(name))), None)
        found[name] = newest if newest is None else newest.passed or newest.severity.value
    return found


def observations(instance: dg.DagsterInstance, name: str) -> list[dg.AssetObservation]:
    """All observations of a table, newest first."""
    found = instance.fetch_observations(dg.AssetKey(name.split("/")), limit=100).records
    return [one.event_log_entry.asset_observation for one in found if one.event_log_entry.asset_observation]


def run_metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The metadata of the newest reported profiling run."""
    [record] = instance.fetch_materializations(PROFILE_KEY, limit=1).records
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.metadata)
