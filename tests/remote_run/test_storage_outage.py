"""Outages of Dagster's storage: a waiting step tolerates them, and an unsent start is known to be unsent."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
import sqlalchemy.exc

from dagster_runs import ProphecyPipelineRun, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger_entry import EntryKind, LedgerEntry
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, entries, materialize, metadata, run_tests
from tests.remote_run.reexecuting import at_pause, execute, job_with, reexecute, signalled

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.fixes("6.16")]
PIPELINE = ProphecyPipelineRun(
    fabric_id=well_known.PROPHECY_FABRIC,
    project_id=well_known.PROPHECY_PROJECT,
    pipeline_name=well_known.PROPHECY_PIPELINE,
)
RETRY = dg.RetryPolicy(max_retries=1)
LOCKED = sqlalchemy.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
CONNECTION_LOST = sqlalchemy.exc.OperationalError("SELECT", {}, Exception("server closed the connection unexpectedly"))


class Outage:
    """Makes both storages of an instance raise for some seconds of the sandbox's time."""

    def __init__(self, clock: SandboxClock, instance: dg.DagsterInstance, error: Exception) -> None:
        self._clock, self._error = clock, error
        self._until = 0.0
        self.refused = 0
        self._storages = [
            (type(instance.event_log_storage), "store_event"),
            (type(instance.event_log_storage), "get_event_records"),
            (type(instance.event_log_storage), "fetch_observations"),
            (type(instance.event_log_storage), "fetch_materializations"),
            (type(instance.run_storage), "get_run_records"),
        ]

    def begin(self, seconds: float) -> None:
        self._until = self._clock.wall() + seconds

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Patches the storages, so that the outage can begin inside the block."""
        patches = [patch.object(owner, name, self._failing(getattr(owner, name))) for owner, name in self._storages]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def fails(*args: Any, **kwargs: Any) -> Any:
            if self._clock.wall() < self._until:
                self.refused += 1
                raise self._error
            return method(*args, **kwargs)

        return fails


@pytest.mark.parametrize("error", [LOCKED, CONNECTION_LOST], ids=["SQLite is locked", "PostgreSQL is down"])
@pytest.mark.covers("wait.storage-outage")
def test_waiting_step_tolerates_a_storage_outage_of_four_minutes(
    error: Exception, sandbox: Sandbox, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dagster_runs")
    sandbox.set_behavior(TESTS.target, Behavior(queued_seconds=20, running_seconds=600))
    with at_pause(sandbox, lambda: outage.begin(240)) as clock:
        outage = Outage(clock, instance, error)
        with outage.patched():
            assert run_tests(sandbox, instance).success
    assert outage.refused > 10
    assert metadata(instance, "quality")["dagster_runs/run_id"] == sandbox.runs("testgen")[0].id
    assert sandbox.starts("testgen") == 1
    log_lines = [record.message for record in caplog.records if "storage" in record.message]
    assert len([line for line in log_lines if "storage failed" in line]) == 1
    assert len([line for line in log_lines if "works again" in line]) == 1


@pytest.mark.covers("wait.storage-outage")
def test_storage_outage_when_the_run_ends_delays_the_report(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.set_behavior(TESTS.target, Behavior(running_seconds=60))

    def begin_outage() -> None:
        sandbox.advance(60)  # the remote run ends with the storage down
        outage.begin(180)

    with at_pause(sandbox, begin_outage) as clock:
        outage = Outage(clock, instance, CONNECTION_LOST)
        with outage.patched():
            assert run_tests(sandbox, instance).success
    assert outage.refused > 10
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("wait.storage-outage")
def test_storage_outage_is_tolerated_for_ten_minutes(clock: SandboxClock) -> None:
    from dagster_runs.remote_run.execution.storage_outage import STORAGE_GRACE, StorageOutage

    def fails() -> None:
        raise LOCKED

    outage = StorageOutage("a run")
    started_at = clock.monotonic()
    with pytest.raises(sqlalchemy.exc.OperationalError):
        outage.wait_for(fails)
    assert STORAGE_GRACE <= clock.monotonic() - started_at < STORAGE_GRACE + 30
    assert outage.attempt(lambda: 7) == 7


@contextmanager
def after_each_entry(instance: dg.DagsterInstance, action: Callable[[str], None]) -> Iterator[None]:
    """Calls a function with the description of each ledger entry after the entry is stored."""
    storage = type(instance.event_log_storage)
    store = storage.store_event

    def patched_store(self: Any, event: Any) -> None:
        store(self, event)
        data = event.dagster_event.event_specific_data if event.dagster_event else None
        observation = getattr(data, "asset_observation", None)
        if observation is not None:
            action(observation.description)

    with patch.object(storage, "store_event", patched_store):
        yield


@pytest.mark.parametrize("run", [PROFILES, PIPELINE], ids=lambda run: run.vendor)
@pytest.mark.parametrize("stops", ["the storage fails", "a signal arrives"])
@pytest.mark.covers("start.not-sent")
def test_recorded_but_unsent_start_is_known_unsent(
    stops: str, run: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    failures = [signalled] if stops == "a signal arrives" else [raise_connection_lost]

    def action(description: str) -> None:
        if description.startswith("Starting a") and failures:
            failures.pop()()

    with after_each_entry(instance, action):
        result = materialize([build_remote_run_asset(run, key="remote", retry_policy=RETRY)], sandbox, instance)
    assert result.success
    assert sandbox.starts(run.vendor.lower()) == 1
    assert entries(instance, "remote") == ["starting", "not_started", "starting", "started"]


def raise_connection_lost() -> None:
    raise CONNECTION_LOST


@pytest.mark.parametrize("run", [PROFILES, PIPELINE], ids=lambda run: run.vendor)
@pytest.mark.parametrize("refused", [False, True], ids=["not sent", "refused"])
@pytest.mark.covers("start.not-sent")
def test_start_without_a_run_is_remembered_while_the_storage_fails(
    refused: bool, run: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    # The entry `not_started` cannot be written for a minute. Then the step is retried.
    storage = type(instance.event_log_storage)
    store, refusals, starts = storage.store_event, [0], [0]

    def patched_store(self: Any, event: Any) -> None:
        data = event.dagster_event.event_specific_data if event.dagster_event else None
        observation = getattr(data, "asset_observation", None)
        entry = LedgerEntry.from_observation(observation) if observation is not None else None
        kind = entry.kind if entry is not None else None
        if kind is EntryKind.NOT_STARTED and refusals[0] < 6:
            refusals[0] += 1
            raise CONNECTION_LOST
        store(self, event)
        if kind is EntryKind.STARTING and not starts[0] and not refused:
            starts[0] += 1
            raise CONNECTION_LOST

    if refused:
        sandbox.add_fault(Fault("status", method="POST", status=429, times=20))
    with patch.object(storage, "store_event", patched_store):
        job = job_with(run, sandbox, retry_policy=None if refused else RETRY)
        result = execute(job, instance)
        sandbox.clear_faults()
        if refused:
            result = reexecute(job, instance, result.run_id)
    assert result.success
    assert refusals[0] == 6
    assert sandbox.starts(run.vendor.lower()) == 1
