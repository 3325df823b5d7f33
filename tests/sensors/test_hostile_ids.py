"""An id that no storage keeps, or no address can hold, is no id: it would fail the sensor's ticks for all vendors."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import RemoteRun
from dagster_runs.sandbox import Fault, Sandbox
from tests.remote_run.materializing import PROFILES, TESTS, entry_of, materialize
from tests.sensors.driving import deferred
from tests.sensors.test_completion import JOURNEY, PIPELINE, WORKFLOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("run_id", ["a\0b", "a\nb"], ids=["NUL", "a line's end"])
@pytest.mark.parametrize(
    ("run", "field"),
    [(PROFILES, "runId"), (TESTS, "id"), (WORKFLOW, "id"), (PIPELINE, "runId"), (JOURNEY, "runId")],
    ids=lambda given: type(given).__name__ if isinstance(given, RemoteRun) else "",
)
def test_an_id_that_cannot_be_kept_is_refused(
    sandbox: Sandbox, instance: dg.DagsterInstance, run: RemoteRun, field: str, run_id: str
) -> None:
    sandbox.add_fault(Fault("wrong_type", method="POST", field=field, value=run_id))
    materialize([deferred(run)], sandbox, instance)
    assert sandbox.starts(None) == 1
    # A vendor that finds what a lost start has begun tells the id that it is known by.
    assert noted(instance) <= {None, sandbox.runs()[0].id}


def noted(instance: dg.DagsterInstance) -> set[str | None]:
    """The ids in the ledger."""
    records = instance.fetch_observations(dg.AssetKey("it"), limit=100).records
    return {entry_of(record).run_id for record in records}
