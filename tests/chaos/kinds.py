"""What the harness materializes: kinds of remote runs, and assets that use them in different ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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
        name: Its name in the report.
        vendor: The name of the vendor in the sandbox.
        target_kind: The kind of target in the sandbox.
        run_class: The class of the run.
        of: Creates the run for a target.
        state_field: The response field with the state of the run.
        judged_by: The check that fails on bad data; empty for kinds without quality results.
        findings: The results of the sandbox's run for good and for bad data.
    """

    name: str
    vendor: str
    target_kind: str
    run_class: type[RemoteRun[Any]]
    of: Callable[[str], RemoteRun[Any]]
    id_format: str
    state_field: str = "status"
    judged_by: str = ""
    findings: Mapping[bool, Mapping[str, Any]] = field(default_factory=dict, hash=False, compare=False)

    def quality(self, *, is_bad: bool) -> Mapping[str, Any]:
        """Returns options for the sandbox's behavior."""
        return self.findings.get(is_bad, {})

    def target(self, number: int) -> str:
        """Returns the id of the target that only this materialization runs."""
        return self.id_format.format(number)


_NO_RESULTS = {"warning": 0, "error": 0, "log": 0, "dismissed": 0}
_PROFILED = {"table_ct": 2, "column_ct": 8, "record_ct": 1000}
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
    judged_by="tests_passed",
    findings={
        False: {"counts": {"passed": 5, "failed": 0, **_NO_RESULTS}},
        True: {"counts": {"passed": 3, "failed": 2, **_NO_RESULTS}},
    },
)
PROFILING = Kind(
    "TestGen profiling",
    "testgen",
    "table_group",
    TestGenProfilingRun,
    lambda target: TestGenProfilingRun(table_group_id=target),
    _UUID,
    judged_by="hygiene_issues",
    findings={False: {**_PROFILED, "issues": {}}, True: {**_PROFILED, "issues": {"definite": 2}}},
)


class Gated(Protocol):
    """An asset that may have a gate."""

    @property
    def kind(self) -> Kind: ...
    @property
    def has_gate(self) -> bool: ...


@dataclass(frozen=True)
class Slot:
    """One asset of the code location; each of its partitions is one materialization.

    Attributes:
        number: Its place in `SLOTS`.
        kind: The kind of its runs.
        retries: Step retries by Dagster.
        on_timeout: If set, the timeout is `BRIEF` seconds.
        has_gate: Whether bad data blocks downstream assets.
        is_daily: Whether it has daily partitions, several of which one run may fill.
    """

    number: int
    kind: Kind
    retries: int = 0
    on_timeout: Literal["leave", "cancel"] | None = None
    has_gate: bool = False
    is_daily: bool = False

    @property
    def asset(self) -> str:
        """The key of the asset."""
        return f"{self.kind.vendor}_{self.number}"


def _slots() -> tuple[Slot, ...]:
    once = [RUDDERSTACK, COURIERS, JOURNEY_BY_KEY, JOURNEY_BY_ID, PIPELINE, TESTS, PROFILING, ORCHESTRATION]
    plain = [*once, RUDDERSTACK, PIPELINE, TESTS, JOURNEY_BY_KEY]
    slots = [Slot(number, kind, retries=number % 2) for number, kind in enumerate(plain)]
    slots.append(Slot(len(slots), TESTS, on_timeout="cancel"))
    slots.append(Slot(len(slots), ORCHESTRATION, on_timeout="cancel"))
    slots.append(Slot(len(slots), RUDDERSTACK, on_timeout="leave"))
    for kind in (TESTS, PROFILING, TESTS):
        slots.append(Slot(len(slots), kind, has_gate=True))
    for kind in (TESTS, RUDDERSTACK, PROFILING, COURIERS, TESTS, JOURNEY_BY_KEY):
        slots.append(Slot(len(slots), kind, has_gate=bool(kind.judged_by), is_daily=True))
    return tuple(slots)


SLOTS = _slots()
DRILLED = range(8)
"""The slots that hold each kind once."""
MAX_SLOTS = 100
"""A materialization's number is its group's, times this, plus its slot's."""
