"""A run id that cannot be stored or put into a URL is refused: it would fail the sensor's ticks for all vendors."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import RemoteRun
from dagster_runs.sandbox import Fault, Sandbox
from tests.remote_run.materializing import PROFILES, TESTS, entry_of, materialize
from tests.sensors.driving import deferred
from tests.sensors.test_completion import JOURNEY, PIPELINE, WORKFLOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("run_id", ["a\0b", "a\nb"], ids=["NUL", "line break"])
@pytest.mark.parametrize(
    ("run", "field"),
    [(PROFILES, "runId"), (TESTS, "id"), (WORKFLOW, "id"), (PIPELINE, "runId"), (JOURNEY, "runId")],
    ids=lambda param: type(param).__name__ if isinstance(param, RemoteRun) else "",
)
def test_id_that_cannot_be_stored_is_refused(
    sandbox: Sandbox, instance: dg.DagsterInstance, run: RemoteRun, field: str, run_id: str
) -> None:
    sandbox.add_fault(Fault("wrong_type", method="POST", field=field, value=run_id))
    materialize([deferred(run)], sandbox, instance)
    assert sandbox.starts(None) == 1
    # If the vendor finds the run of a lost start, it returns the actual run id.
    assert recorded_ids(instance) <= {None, sandbox.runs()[0].id}


def recorded_ids(instance: dg.DagsterInstance) -> set[str | None]:
    """Return the run ids in the ledger."""
    records = instance.fetch_observations(dg.AssetKey("it"), limit=100).records
    return {entry_of(record).run_id for record in records}
