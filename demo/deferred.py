"""Materializes the deferred asset and its downstream asset without Dagster's daemon, by running the ticks itself."""

from __future__ import annotations

import time
import warnings
from typing import Any

import dagster as dg

from demo.outcome import Outcome, outcomes
from demo.processes import DemoError

# The table shows everything; Dagster's own log would hide it.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_MODEL, _SCORES = dg.AssetKey("churn_model"), dg.AssetKey("churn_scores")
_WITHIN = 120.0
_PAUSE = 1.0


def deferred_outcomes(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[Outcome]:
    """Materializes the deferred asset, waits for the sensor's report, and then runs what automation requests.

    Raises:
        DemoError: The sensor does not report the asset in time.
    """
    before = _automation(defs, instance)
    training = defs.resolve_job_def("training")
    deferring = training.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
    if not deferring.success:
        return outcomes(training, deferring)
    checks = _until_reported(defs, instance)
    [record] = instance.fetch_materializations(_MODEL, limit=1).records
    reported = record.asset_materialization
    metadata = {name: entry.value for name, entry in reported.metadata.items()} if reported is not None else {}
    found = [Outcome(_MODEL, True, metadata, checks, blocked_by=(), error=None)]
    evaluated = _automation(defs, instance, cursor=before.cursor)
    if evaluated.get_num_requested(_SCORES):
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={_SCORES})
        found += outcomes(job, job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET))
    return found


def _automation(defs: dg.Definitions, instance: dg.DagsterInstance, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster itself uses a parameter that is in beta
        return dg.evaluate_automation_conditions(defs, instance, **options)


def _until_reported(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
    sensor = defs.resolve_sensor_def("remote_run_completion")
    cursor: str | None = None
    until = time.monotonic() + _WITHIN
    while time.monotonic() < until:
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, definitions=defs, resources=dict(defs.resources or {})
        ) as context:
            data = sensor.evaluate_tick(context)
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        # One tick reports the materialization, and a later one its checks.
        checks = [event for event in data.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        if checks:
            return checks
        cursor = data.cursor
        time.sleep(_PAUSE)
    raise DemoError(f"The completion sensor did not report {_MODEL.to_user_string()} within {_WITHIN:.0f} s")
