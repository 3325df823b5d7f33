"""What the harness materializes: kinds of remote runs, and one asset for each of a few uses of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dagster_runs import (
    AmperityWorkflowRun,
    ProphecyPipelineRun,
    RudderStackProfilesRun,
    SegmentflowJourneyRun,
    TestGenProfilingRun,
    TestGenTestRun,
)
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.sandbox import well_known

BRIEF = 300.0
"""Simulated seconds that an asset with a timeout waits for its run."""
_RECIPIENT = {"email": "ada@example.com"}


@dataclass(frozen=True)
class Kind:
    """A kind of remote run, at the vendor and at the sandbox.

    Attributes:
        name: For the report.
        vendor: The sandbox's name of the vendor.
        target_kind: The sandbox's name of what is run.
        run_class: What the asset runs.
        of: The run of a target.
        state_field: The field of the vendor's answers with the run's state.
    """

    name: str
    vendor: str
    target_kind: str
    run_class: type[RemoteRun[Any]]
    of: Callable[[str], RemoteRun[Any]]
    id_format: str
    state_field: str = "status"

    def target(self, number: int) -> str:
        """The id of the target that only this materialization runs."""
        return self.id_format.format(number)


_UUID = "c4a05000-0000-4000-8000-{:012d}"

RUDDERSTACK = Kind(
    "RudderStack",
    "rudderstack",
    "profiles",
    RudderStackProfilesRun,
    lambda target: RudderStackProfilesRun(profiles_id=target),
    "chaos{:08d}",
)
COURIERS = Kind(
    "Amperity courier group",
    "amperity",
    "courier_group",
    AmperityWorkflowRun,
    lambda target: AmperityWorkflowRun(config_id=target),
    "cg-{:08d}",
    "state",
)
ORCHESTRATION = Kind(
    "Amperity orchestration",
    "amperity",
    "orchestration_group",
    AmperityWorkflowRun,
    lambda target: AmperityWorkflowRun(config_id=target),
    "og-{:08d}",
    "state",
)
JOURNEY_BY_KEY = Kind(
    "Segmentflow by key",
    "segmentflow",
    "journey",
    SegmentflowJourneyRun,
    lambda target: SegmentflowJourneyRun(journey_key=target, recipient=_RECIPIENT),
    _UUID,
)
JOURNEY_BY_ID = Kind(
    "Segmentflow by id",
    "segmentflow",
    "journey",
    SegmentflowJourneyRun,
    lambda target: SegmentflowJourneyRun(journey_id=target, recipient=_RECIPIENT),
    _UUID,
)
PIPELINE = Kind(
    "Prophecy",
    "prophecy",
    "pipeline",
    ProphecyPipelineRun,
    lambda target: ProphecyPipelineRun(
        fabric_id=well_known.PROPHECY_FABRIC, project_id=well_known.PROPHECY_PROJECT, pipeline_name=target
    ),
    "chaos-{:08d}",
    "runStatus",
)
TESTS = Kind(
    "TestGen tests",
    "testgen",
    "test_suite",
    TestGenTestRun,
    lambda target: TestGenTestRun(test_suite_id=target),
    _UUID,
)
PROFILING = Kind(
    "TestGen profiling",
    "testgen",
    "table_group",
    TestGenProfilingRun,
    lambda target: TestGenProfilingRun(table_group_id=target),
    _UUID,
)


@dataclass(frozen=True)
class Slot:
    """One asset of the code location; each of its partitions is one materialization.

    Attributes:
        number: Its place in `SLOTS`.
        kind: What it runs.
        retries: Of the step, by Dagster.
        on_timeout: With a choice here, it waits for `BRIEF` seconds only.
    """

    number: int
    kind: Kind
    retries: int = 0
    on_timeout: Literal["leave", "cancel"] | None = None

    @property
    def asset(self) -> str:
        """The asset's key."""
        return f"{self.kind.vendor}_{self.number}"


def _slots() -> tuple[Slot, ...]:
    once = [RUDDERSTACK, COURIERS, JOURNEY_BY_KEY, JOURNEY_BY_ID, PIPELINE, TESTS, PROFILING, ORCHESTRATION]
    plain = [*once, RUDDERSTACK, PIPELINE, TESTS, JOURNEY_BY_KEY]
    slots = [Slot(number, kind, retries=number % 2) for number, kind in enumerate(plain)]
    slots.append(Slot(len(slots), TESTS, on_timeout="cancel"))
    slots.append(Slot(len(slots), ORCHESTRATION, on_timeout="cancel"))
    slots.append(Slot(len(slots), RUDDERSTACK, on_timeout="leave"))
    return tuple(slots)


SLOTS = _slots()
DRILLED = range(8)
"""The slots that hold each kind once."""
MOST_SLOTS = 100
"""A materialization's number is its group's, times this, plus its slot's."""
