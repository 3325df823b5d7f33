import dagster as dg
import pytest

from dagster_runs import TestGenTestRun, build_remote_run_asset
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.tables import table
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import materialize, metadata


def test_link_and_numbers_come_before_times_and_ids_and_tables_come_last() -> None:
    rows = table([{"task": "one"}])
    names = ["acme/tasks", "acme/tasks_left_out", "acme/rows", "acme/job_id", "dagster_runs/run_id", "acme/name"]
    names += ["dagster_runs/duration_seconds", "dagster_runs/error", "dagster_runs/started_at", "dagster_runs/state"]
    names += ["dagster_runs/url", "acme/raw"]
    values = {"acme/tasks": rows, "acme/raw": dg.MetadataValue.json({})}
    assert list(in_page_order({name: values.get(name, dg.MetadataValue.int(1)) for name in names})) == [
        "dagster_runs/url",
        "dagster_runs/state",
        "dagster_runs/error",
        "acme/rows",
        "acme/name",
        "dagster_runs/started_at",
        "dagster_runs/duration_seconds",
        "acme/job_id",
        "dagster_runs/run_id",
        "acme/tasks",
        "acme/tasks_left_out",
        "acme/raw",
    ]


@pytest.mark.usefixtures("clock")
def test_materialization_has_the_link_first_and_the_table_last(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    orders = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
    materialize([build_remote_run_asset(orders, key="orders")], sandbox, instance)
    shown = list(metadata(instance, "orders"))
    assert shown[:3] == ["dagster_runs/url", "dagster_runs/state", "testgen/score"]
    assert shown[-1] == "testgen/failing_tests"
    assert "dagster_runs/attached" not in shown
