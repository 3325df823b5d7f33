"""Personal data and secrets in a run's fields are not stored with a deferred run."""

from __future__ import annotations

import dagster as dg
import pytest

from dagster_runs import SegmentflowJourneyRun
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import entries, materialize
from tests.sensors.driving import completion, deferred
from tests.vendors.prophecy_runs import pipeline

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("outcome", ["succeed", "fail"])
def test_sensitive_fields_are_not_stored_in_events_tags_or_the_cursor(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, outcome: str
) -> None:
    journey = SegmentflowJourneyRun(
        journey_id=well_known.SEGMENTFLOW_JOURNEY,
        recipient={"email": "ada@example.com"},
        variables={"code": "hush-hush"},
    )
    others = pipeline().with_fields({"parameters": {"password": "hush-hush"}})
    for target in (journey.target, others.target.rpartition("/")[2]):
        sandbox.set_behavior(target, Behavior(outcome=outcome, running_seconds=5))
    assets = [deferred(journey, key="mail"), deferred(others, key="pipe")]
    materialize(assets, sandbox, instance)
    assert "started" in entries(instance, "mail")
    assert "started" in entries(instance, "pipe")
    driver = completion(assets, sandbox, instance)
    driver.ticks(clock, 12)
    stored_texts = [driver.cursor, *driver.skipped]
    for key in ("mail", "pipe"):
        records = [
            *instance.fetch_observations(dg.AssetKey(key), limit=1000).records,
            *instance.fetch_materializations(dg.AssetKey(key), limit=1000).records,
        ]
        assert records
        stored_texts += [str(record.event_log_entry) for record in records]
    for run in instance.get_runs():
        stored_texts += [str(run.tags), str(run.run_config), *map(str, instance.all_logs(run.run_id))]
    for secret in ("ada@example.com", "hush-hush"):
        assert not [text for text in stored_texts if secret in str(text)]
