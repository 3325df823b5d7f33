"""Checks of tables with Dagster's default executor and a stored event log."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run

from dagster_runs.sandbox import Sandbox
from tests.table_checks.suites import SUITE_KEY, add_suite, evaluated, key, materialization_id, outcomes, result

ROOT = Path(__file__).parents[2]


@pytest.mark.covers("tables.same-run", "tables.gate-blocking")
def test_checks_are_evaluated_by_a_process_of_their_own(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_suite(sandbox, [result("orders", "warning"), result("customers")], running_seconds=1)
    monkeypatch.setenv("SANDBOX_URL", sandbox.url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    location = ReconstructableRepository.for_module("tests.slow.table_checks_location", "defs", str(ROOT))
    job = location.get_reconstructable_job("all")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(job.get_definition())
        assert execute_run(job, run, instance).success
        assert outcomes(instance, "orders", "customers") == {"orders": "WARN", "customers": True}
        [orders] = evaluated(instance, key("orders"))
        assert orders.target_materialization_data is not None
        assert orders.target_materialization_data.storage_id == materialization_id(instance, "orders")
        [judged] = evaluated(instance, dg.AssetCheckKey(SUITE_KEY, "tests_passed"))
        assert (judged.passed, judged.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert materialization_id(instance, "report")  # which waits for the gate
    assert sandbox.starts("testgen") == 1
