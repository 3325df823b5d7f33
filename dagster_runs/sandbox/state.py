"""The state of the sandbox, and the list of its vendors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dagster_runs.sandbox.amperity import Amperity
from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.faults import FaultRegistry
from dagster_runs.sandbox.log import RequestLog
from dagster_runs.sandbox.prophecy import Prophecy
from dagster_runs.sandbox.rudderstack import RudderStack
from dagster_runs.sandbox.runs import SandboxRun
from dagster_runs.sandbox.segmentflow import Segmentflow
from dagster_runs.sandbox.testgen import NEW, OLD, TestGen
from dagster_runs.sandbox.vendor import Vendor

VendorMaker = Callable[[Clock], Vendor]
"""Creates a simulated vendor: its class, or a function."""

VENDORS: Sequence[VendorMaker] = (
    RudderStack,
    Amperity,
    Segmentflow,
    Prophecy,
    lambda clock: TestGen(clock, NEW, "testgen"),
    lambda clock: TestGen(clock, OLD, "testgen-old"),
)


class SandboxState:
    """The state of the sandbox. Only the server's event loop may use it.

    Args:
        speed: Simulated seconds per real second.
        vendors: The simulated vendors.
    """

    def __init__(self, speed: float = 1.0, vendors: Sequence[VendorMaker] = VENDORS) -> None:
        self.clock = Clock(speed)
        self.log = RequestLog()
        self.faults = FaultRegistry()
        self.vendors = [create(self.clock) for create in vendors]
        self._mounts = {vendor.mount: vendor for vendor in self.vendors}

    def find_vendor(self, mount: str) -> Vendor | None:
        """Returns the vendor whose paths begin with this segment."""
        return self._mounts.get(mount)

    def select_vendors(self, name: str | None) -> list[Vendor]:
        """Returns the vendor with this name, or all vendors."""
        vendors = [vendor for vendor in self.vendors if name in (None, vendor.name)]
        if not vendors:
            known = ", ".join(vendor.name for vendor in self.vendors)
            raise ValueError(f"there is no vendor {name!r}; the vendors are {known}")
        return vendors

    def runs(self, vendor: str | None) -> list[SandboxRun]:
        """Returns the runs, oldest first."""
        snapshots = [owner.snapshot(run) for owner in self.select_vendors(vendor) for run in owner.runs.values()]
        return sorted(snapshots, key=lambda run: run.created_at)

    def starts(self, vendor: str | None) -> int:
        """Returns the number of runs that were started by requests."""
        return sum(run.source == "api" for owner in self.select_vendors(vendor) for run in owner.runs.values())

    def start_run(self, target_id: str, *, vendor: str | None, kind: str | None, source: str) -> SandboxRun:
        """Starts a run as if by another user or a schedule."""
        owner = self._find_owners(target_id, vendor)[0]
        return owner.snapshot(owner.start_run(owner.targets[target_id], kind=kind, source=source))

    def restore_run(self, snapshot: SandboxRun, behavior: Behavior) -> SandboxRun:
        """Recreates a run of another sandbox with the same id."""
        [owner] = self._find_owners(snapshot.target_id, snapshot.vendor)
        return owner.snapshot(owner.restore_run(snapshot, behavior))

    def add_target(
        self, vendor: str, kind: str, target_id: str, behaviors: Sequence[Behavior], fields: dict[str, Any]
    ) -> None:
        """Adds a target."""
        owner = self.select_vendors(vendor)[0]
        for behavior in behaviors:
            owner.check_options(behavior)
        target = owner.add_target(kind, target_id, Behavior(), **fields)
        owner.set_behaviors(target.id, behaviors)

    def set_behaviors(self, target_id: str, behaviors: Sequence[Behavior], vendor: str | None) -> None:
        """Sets the behavior of the next runs of a target, at one vendor or at every vendor that has the target."""
        owners = self._find_owners(target_id, vendor)
        for owner in owners:
            for behavior in behaviors:
                owner.check_options(behavior)
        for owner in owners:
            owner.set_behaviors(target_id, behaviors)

    def configure(self, vendor: str, settings: dict[str, Any]) -> None:
        """Changes the settings of a vendor."""
        self.select_vendors(vendor)[0].configure(settings)

    def peak_requests_per_second(self, vendor: str | None) -> int:
        """Returns the maximum number of requests of one account within one real second."""
        return max(owner.request_rate.peak for owner in self.select_vendors(vendor))

    def reset(self) -> None:
        """Deletes runs, faults, requests, behaviors, settings and added targets. Time continues."""
        self.log.clear()
        self.faults.clear()
        for vendor in self.vendors:
            vendor.reset()

    def _find_owners(self, target_id: str, vendor: str | None) -> list[Vendor]:
        owners = [owner for owner in self.select_vendors(vendor) if target_id in owner.targets]
        if not owners:
            raise ValueError(f"there is no target {target_id!r}; use add_target to add it")
        return owners
