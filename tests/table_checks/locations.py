"""A code location with a suite and a sensor, and its daemon."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest

from dagster_runs import TableChecks
from dagster_runs.sandbox import Sandbox
from tests.remote_run.materializing import resources_at
from tests.sensors.driving import DaemonKilled, Driver


class Location:
    """A code location with the checks of a suite and a sensor, and its daemon.

    Args:
        checks: The checks of the suite.
        sensor: The sensor.
        sandbox: The sandbox.
        instance: The Dagster instance.
        assets: The assets of the tables, and others.
        jobs: Further jobs. The job `checks` executes all checks.
    """

    def __init__(
        self,
        checks: TableChecks,
        sensor: dg.SensorDefinition,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        assets: Sequence[Any],
        *jobs: Any,
    ) -> None:
        job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*checks.checks.check_keys))
        self.driver = Driver(sensor, [], sandbox, instance)
        self.driver.definitions = dg.Definitions.merge(
            dg.Definitions(
                assets=assets,
                jobs=[job, *jobs],
                sensors=[sensor],
                resources=resources_at(sandbox.url),
                executor=dg.in_process_executor,
            ),
            checks.definitions(),
        )
        self.instance = instance
        self.suite = checks.suite.key

    def execute(self) -> dg.ExecuteInProcessResult:
        """Execute all checks."""
        job = self.driver.definitions.resolve_job_def("checks")
        return job.execute_in_process(instance=self.instance, raise_on_error=False)

    def lose_tick(self, *, after: int) -> None:
        """Kill the daemon in the next tick, after it has stored some events."""
        with pytest.raises(DaemonKilled):
            self.driver.tick(lost_after=after)

    @property
    def completed(self) -> dict[str, Any]:
        """The metadata of the observation that completes the report of the newest run."""
        for record in self.instance.fetch_observations(self.suite, limit=20).records:
            observation = record.event_log_entry.asset_observation
            if observation is not None and "dagster_runs/checks_reported" in observation.metadata:
                return dict(observation.metadata)
        return {}
