"""A started run is recorded even if Dagster's event log fails for a moment."""

import logging
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from tests.remote_run.materializing import metadata, run_profiles

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.covers("start.event-log-fails")
def test_started_run_is_recorded_despite_event_log_failover(
    sandbox: Sandbox, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    storage = type(instance.event_log_storage)
    store, failures = storage.store_event, ["once", "twice"]

    def fails_over(self: Any, event: Any) -> None:
        if failures and "Started the" in str(event.dagster_event and event.dagster_event.event_specific_data):
            raise ConnectionError(f"the database is away, {failures.pop(0)}")
        store(self, event)

    with patch.object(storage, "store_event", fails_over):
        assert run_profiles(sandbox, instance).success
    assert failures == []
    [run] = sandbox.runs("rudderstack")
    assert f"run {run.id}, which could not be recorded" in caplog.text
    assert metadata(instance, "features")["dagster_runs/run_id"] == run.id
