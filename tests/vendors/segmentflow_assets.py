"""Materializes Segmentflow journeys against the sandbox."""

from typing import Any

import dagster as dg
import pytest

from dagster_runs import SegmentflowJourneyRun, build_remote_run_asset
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import materialize
from tests.remote_run.reexecuting import KEY

JOURNEY, JOURNEY_KEY = well_known.SEGMENTFLOW_JOURNEY, well_known.SEGMENTFLOW_JOURNEY_KEY
ANNA = {"email": "anna@example.com"}
BY_ID = SegmentflowJourneyRun(journey_id=JOURNEY, recipient=ANNA)
BY_KEY = SegmentflowJourneyRun(journey_key=JOURNEY_KEY, recipient=ANNA)
BOTH = pytest.mark.parametrize("run", [BY_ID, BY_KEY], ids=["by id", "by key"])


def start(run: Any, sandbox: Sandbox, instance: dg.DagsterInstance, **options: Any) -> dg.ExecuteInProcessResult:
    launch = {name: options.pop(name) for name in ("partition_key", "run_config", "tags") if name in options}
    return materialize([build_remote_run_asset(run, key=KEY, **options)], sandbox, instance, **launch)


def keys_sent(sandbox: Sandbox) -> list[str]:
    posts = [request for request in sandbox.requests("segmentflow") if request.method == "POST"]
    return [request.headers["idempotency-key"] for request in posts]


def sent(sandbox: Sandbox) -> Any:
    """Returns the body of the newest start."""
    return sandbox.runs("segmentflow")[-1].body
