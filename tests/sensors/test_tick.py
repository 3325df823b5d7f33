"""The number of runs that a tick reports, for each kind of outcome."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import PROFILES, TESTS, materialize
from tests.sensors.driving import completion, deferred, reported
from tests.sensors.test_follow_ups import after_it


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("options", [{}, {"job": after_it}], ids=["no follow-up job", "follow-up job"])
def test_many_failures_do_not_delay_successes(
    sandbox: Sandbox,
    instance: dg.DagsterInstance,
    clock: SandboxClock,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_REQUESTS", 2)
    failures = 4
    partitions = dg.StaticPartitionsDefinition([str(number) for number in range(failures)])
    sandbox.set_behavior(PROFILES.target, Behavior(outcome="fail"))
    bad = deferred(PROFILES, "bad", partitions_def=partitions)
    good = deferred(TESTS, "good")
    for number in range(failures):
        materialize([bad], sandbox, instance, partition_key=str(number))
        clock.sleep(60)  # otherwise the next start would find an active run
    materialize([good], sandbox, instance)
    clock.sleep(60)
    driver = completion([bad, good], sandbox, instance, **options)
    requested = [request for request in driver.tick().run_requests if request.job_name != "after_it"]
    assert len(requested) < failures, "the remaining failures wait for a later tick"
    assert len(reported(instance, "good")) == 1
