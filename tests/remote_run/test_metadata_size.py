"""Metadata is small enough for Dagster: tables are capped, and big entries are stored once for a range."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.remote_run.metadata_size import (
    MAX_METADATA_BYTES,
    cut_names,
    limited,
    limited_result,
    size_of,
)
from dagster_runs.remote_run.tables import MAX_ROWS, table, table_entries
from dagster_runs.remote_run.types import CheckOutcome, RunResult
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import materialize

WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)
DAYS = dg.DailyPartitionsDefinition("2026-11-01")
RANGE = {"dagster/asset_partition_range_start": "2026-11-02", "dagster/asset_partition_range_end": "2026-11-04"}


def rows(count: int, text: str = "") -> list[dict[str, Any]]:
    return [{"number": number, "text": text} for number in range(count)]


def test_long_table_has_the_first_rows_and_the_number_of_the_others() -> None:
    entries = table_entries("it", rows(800))
    assert [row.data["number"] for row in entries["it"].records] == list(range(MAX_ROWS))
    assert entries["it_left_out"].value == "700 of 800 rows are left out. The table has the worst ones"


def test_short_table_has_all_rows() -> None:
    assert list(table_entries("it", rows(MAX_ROWS))) == ["it"]


def test_table_of_the_first_rows_of_the_vendor_says_how_many_there_are() -> None:
    assert "3 of 5 rows" in table_entries("it", rows(2), total=5)["it_left_out"].value


@pytest.mark.parametrize(
    "big",
    [
        table(rows(5000, "x" * 500)),
        dg.MetadataValue.text("x" * 3_000_000),
        "ü" * 3_000_000,
        dg.MetadataValue.json(["x" * 100] * 30_000),
        dg.MetadataValue.md("x" * 3_000_000),
        {"key": "x" * 3_000_000},
        dg.MetadataValue.table(
            records=[dg.TableRecord({"it": "x" * 3_000_000})],
            schema=dg.TableSchema(columns=[dg.TableColumn("it", "string")]),
        ),
    ],
    ids=["table", "text", "non-ASCII string", "JSON", "markdown", "dictionary", "one row"],
)
def test_metadata_that_is_too_large_is_cut(big: Any) -> None:
    cut = limited({"small": 1, "big": big, "url": dg.MetadataValue.url("https://example.com")})
    event = dg.AssetMaterialization("it", metadata=cut)
    assert len(dg.serialize_value(event)) < MAX_METADATA_BYTES + 1000
    assert (cut["small"], cut["url"].value) == (1, "https://example.com")
    if isinstance(big, dg.TableMetadataValue) and len(big.records) > 1:
        assert [row.data["number"] for row in cut["big"].records] == list(range(len(cut["big"].records)))
        assert "of 5000 rows are left out" in cut["big_left_out"].value
    else:
        assert cut["big"].value.endswith("…") or "too large" in cut["big"].value


def test_metadata_that_fits_is_unchanged() -> None:
    metadata = {"number": 1, "table": table(rows(100)), "text": "x"}
    assert limited(metadata) == metadata


def test_metadata_that_dagster_rejects_is_left_to_dagster() -> None:
    odd = object()
    assert limited({"odd": odd, "big": "x" * 3_000_000})["odd"] is odd


def test_checks_are_limited_like_metadata() -> None:
    outcome = CheckOutcome("it", passed=False, description="x" * 100_000, metadata={"big": "x" * 3_000_000})
    [check] = limited_result(RunResult(checks=[outcome])).checks
    assert len(check.description or "") < 20_000
    assert size_of(check.metadata["big"]) < MAX_METADATA_BYTES + 1000


@pytest.mark.parametrize(
    "entry",
    [
        dg.MetadataValue.text("ü" * 500),
        dg.MetadataValue.json({"it": ["x"] * 500}),
        dg.MetadataValue.float(0.5),
        dg.MetadataValue.timestamp(1.0),
        table(rows(100, 'a text with a " in it')),
    ],
    ids=["text", "JSON", "number", "time", "table"],
)
def test_size_is_close_to_that_of_dagsters_serialization(entry: Any) -> None:
    assert size_of(entry) == pytest.approx(len(dg.serialize_value(entry)), rel=0.2, abs=60)


def test_names_are_cut() -> None:
    assert cut_names(["a", "b"]) == "a, b"
    assert cut_names([str(number) for number in range(1000)], 2) == "0, 1 and 998 more"


@pytest.mark.usefixtures("clock")
def test_step_stores_big_metadata_of_a_range_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    tasks = [{"label": f"Load table {number}", "outcome": "succeeded"} for number in range(799)]
    sandbox.set_behavior(WORKFLOW.target, Behavior(tasks=[*tasks, "skipped"]))
    asset = build_remote_run_asset(
        WORKFLOW,
        specs=[dg.AssetSpec("a", partitions_def=DAYS), dg.AssetSpec("b", partitions_def=DAYS)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    assert materialize([asset], sandbox, instance, tags=RANGE).success
    for key in ("a", "b"):
        stored = instance.fetch_materializations(dg.AssetKey(key), limit=9, ascending=True).records
        assert [record.partition_key for record in stored] == ["2026-11-02", "2026-11-03", "2026-11-04"]
        *others, last = [record.asset_materialization.metadata for record in stored if record.asset_materialization]
        assert last["amperity/tasks"].value.records[0].data["state"] == "skipped"
        assert "700 of 800" in str(last["amperity/tasks_left_out"].value)
        for metadata in others:
            assert "See partition 2026-11-04" in str(metadata["amperity/tasks"].value)
            assert metadata["dagster_runs/run_id"] == last["dagster_runs/run_id"]
