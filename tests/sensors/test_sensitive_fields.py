"""Personal data and secrets in a run's fields are not stored with a deferred run."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import ProphecyPipelineRun, RemoteRun, SegmentflowJourneyRun
from dagster_runs.sandbox import Behavior, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import entries, failure, materialize
from tests.sensors.driving import completion, deferred
from tests.vendors.prophecy_runs import pipeline

pytestmark = pytest.mark.usefixtures("clock")


SECRET = 19971231
JOURNEY = {"journey_key": "welcome-back", "recipient": {"email": "ada@example.com"}}
PIPELINE = {"fabric_id": 1, "project_id": "41", "pipeline_name": "daily"}


@pytest.mark.parametrize(
    ("run_class", "fields"),
    [
        (SegmentflowJourneyRun, {**JOURNEY, "journey_key": None}),
        (SegmentflowJourneyRun, {**JOURNEY, "recipient": {"email": {"is": SECRET}}}),
        (SegmentflowJourneyRun, {**JOURNEY, "recipient": {"mail": str(SECRET)}}),
        (SegmentflowJourneyRun, {**JOURNEY, "recipient": {"email": "a", "properties": str(SECRET)}}),
        (SegmentflowJourneyRun, {**JOURNEY, "recipient": SECRET}),
        (SegmentflowJourneyRun, {**JOURNEY, "variables": SECRET, "on_exit": "fail"}),
        (ProphecyPipelineRun, {**PIPELINE, "parameters": {"password": [SECRET]}}),
        (ProphecyPipelineRun, {**PIPELINE, "parameters": str(SECRET)}),
        (ProphecyPipelineRun, {**PIPELINE, "parameters": SECRET, "fabric": 1}),
    ],
)
def test_errors_do_not_quote_sensitive_values(run_class: type[RemoteRun[Any]], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        run_class(**fields)
    assert str(SECRET) not in str(raised.value)
    assert "ada@" not in str(raised.value)


def test_sensitive_values_are_not_in_the_repr() -> None:
    assert "ada@" not in repr(SegmentflowJourneyRun(**JOURNEY))
    assert "welcome-back" in str(SegmentflowJourneyRun(**JOURNEY))


def test_error_of_a_launch_does_not_quote_sensitive_values(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = deferred(SegmentflowJourneyRun(**JOURNEY), key="mail")
    config = {"ops": {"mail": {"config": {"recipient": {"email": [str(SECRET)]}}}}}
    result = materialize([asset], sandbox, instance, run_config=config)
    assert "recipient.email must be a string, not a list" in failure(result)
    assert not [entry for entry in instance.all_logs(result.run_id) if str(SECRET) in str(entry.user_message)]


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
