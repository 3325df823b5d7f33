"""What a run starts at its vendor, as the sandbox names it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.sensors.registry import Watchable, find_remote
from dagster_runs.vendors.amperity import AmperityWorkflowRun
from dagster_runs.vendors.prophecy import ProphecyPipelineRun
from dagster_runs.vendors.rudderstack import RudderStackProfilesRun, RudderStackRETLSyncRun
from dagster_runs.vendors.segmentflow import SegmentflowJourneyRun
from dagster_runs.vendors.testgen import TestGenProfilingRun, TestGenTestGenerationRun, TestGenTestRun

_KINDS: Mapping[type[RemoteRun[Any]], str] = {
    RudderStackProfilesRun: "profiles",
    RudderStackRETLSyncRun: "retl",
    TestGenProfilingRun: "table_group",
    TestGenTestGenerationRun: "test_suite",
    TestGenTestRun: "test_suite",
}
_AMPERITY_KINDS = {"cg-": "courier_group", "og-": "orchestration_group", "cc-": "campaign"}
_JOURNEY_IDS = uuid.UUID("6f1f5c0e-7a43-4f0b-9f7f-0d9b0a1c2e55")
"""The namespace of the ids of journeys that a test names only by their keys."""


@dataclass(frozen=True)
class Target:
    """Something that a simulated vendor can run.

    Attributes:
        vendor: The name of the simulated vendor.
        kind: The vendor's kind of target; ``None`` if the vendor has only one.
        id: The id of the target.
        fields: The fields that the target needs in addition to its id.
        defaults: Options of `dagster_runs.sandbox.Behavior` with which a run succeeds, such as a test that passes.
    """

    vendor: str
    kind: str | None
    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def run_of(what: Any) -> RemoteRun[Any]:
    """Returns the remote run of an asset.

    Args:
        what: A run, an asset from `build_remote_run_asset`, an `ObservedAsset`, or the checks of a suite.

    Raises:
        ValueError: It has no remote run that is known before its step.
    """
    if isinstance(what, RemoteRun):
        return what
    remote = what.as_watched().remote if isinstance(what, Watchable) else find_remote(what)
    if remote is None:
        raise ValueError(
            f"{what!r} has no remote run that the test kit knows. Pass an asset from build_remote_run_asset, or the "
            "run itself, for example TestGenTestRun(test_suite_id=...)"
        )
    if remote.run is None:
        raise ValueError(
            f"A function creates the {remote.run_class.__name__} of this asset in its step. Pass the run that it "
            "returns instead of the asset"
        )
    return remote.run


def target_of(run: RemoteRun[Any], vendor: str | None = None, kind: str | None = None) -> Target:
    """Returns what a run starts.

    Args:
        run: The run.
        vendor: The name of the simulated vendor. Defaults to the resource key of the run's class.
        kind: The kind of the target. Defaults to that of a built-in vendor.
    """
    fields: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    target = run.target
    if isinstance(run, AmperityWorkflowRun):
        kind = kind or _AMPERITY_KINDS.get(target[:3])
        fields = {"name": run.workflow_name} if run.workflow_name else {}
    elif isinstance(run, SegmentflowJourneyRun):
        target = run.journey_id or str(uuid.uuid5(_JOURNEY_IDS, target))
        fields = {"key": run.journey_key} if run.journey_key else {}
    elif isinstance(run, ProphecyPipelineRun):
        target, fields = run.pipeline_name, {"project_id": run.project_id, "fabric_id": run.fabric_id}
    elif isinstance(run, TestGenTestRun):
        defaults = {"counts": {"passed": 1}}
    elif isinstance(run, TestGenProfilingRun):
        defaults = {"table_ct": 1}
    kind = kind or next((kind for run_class, kind in _KINDS.items() if isinstance(run, run_class)), None)
    return Target(vendor or type(run).resource_key, kind, target, fields, defaults)
