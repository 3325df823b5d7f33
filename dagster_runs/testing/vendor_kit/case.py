"""One scenario at work: an empty Dagster instance, an empty sandbox, and what happens in them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.assets import build_remote_run_asset
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState
from dagster_runs.sandbox import Behavior, Fault, RecordedRequest, SandboxClient, SandboxRun
from dagster_runs.testing.vendor_kit.calls import Call, Calls
from dagster_runs.testing.vendor_kit.clock import KitClock
from dagster_runs.testing.vendor_kit.leaks import Secrets
from dagster_runs.testing.vendor_kit.materialized import Materialized
from dagster_runs.testing.vendor_kit.results import expect
from dagster_runs.testing.vendor_kit.subject import Subject

RUNNING_SECONDS = 30.0
"""The simulated seconds that a run takes, unless a scenario needs another duration."""
VERY_LONG = 36_000.0
"""The simulated seconds of a run that ends only if it is canceled."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Config of a Dagster run that prints nothing."""
_numbers = itertools.count(1)


class Case:
    """One scenario at work.

    Args:
        subject: What is to be proved.
        calls: The kinds of requests of its runs.
        instance: The Dagster instance.
        clock: The clock.
        secrets: What must not be shown anywhere.
    """

    def __init__(
        self, subject: Subject, calls: Calls, instance: dg.DagsterInstance, clock: KitClock, secrets: Secrets
    ) -> None:
        self.subject = subject
        self.calls = calls
        self.instance = instance
        self.clock = clock
        self.secrets = secrets
        self.begin()

    @property
    def run(self) -> RemoteRun[Any]:
        """The run."""
        return self.subject.run

    @property
    def resource(self) -> RemoteRunResource:
        """The resource."""
        return self.subject.resource

    @property
    def client(self) -> SandboxClient:
        """The controls of the sandbox."""
        return self.subject.client

    @cached_property
    def resources(self) -> Mapping[str, RemoteRunResource]:
        """The resources of the code location."""
        return {self.run.resource_key: self.resource}

    def begin(self, **behavior: Any) -> None:
        """Empties the instance and the sandbox, and sets the behavior of the next runs.

        Args:
            behavior: Arguments of `Behavior`.
        """
        self.subject.reset()
        self.instance.wipe()
        self.clock.clear()
        self.behave(**behavior)

    def behave(self, **behavior: Any) -> None:
        """Sets the behavior of the next runs."""
        chosen = Behavior(**{"running_seconds": RUNNING_SECONDS, **behavior})
        self.client.set_behavior(self.subject.target, chosen, vendor=self.subject.vendor)

    # --- the simulated vendor

    def add_fault(self, kind: Any, call: Call | None = None, **arguments: Any) -> None:
        """Activates a fault for requests of a kind, or for all requests."""
        aim: dict[str, Any] = {} if call is None else {"method": call.method, "path": call.path}
        self.client.add_fault(Fault(kind, **aim, **arguments))

    def requests(self, call: Call | None = None) -> list[RecordedRequest]:
        """Returns the requests of a kind, or all, oldest first."""
        return [record for record in self.subject.requests() if call is None or call.matches(record)]

    def count_faults(self, kind: str) -> int:
        """Returns the number of requests that a kind of fault affected."""
        return sum(record.fault == kind for record in self.requests())

    def started(self) -> list[SandboxRun]:
        """Returns the runs that requests started, oldest first."""
        return [run for run in self.client.runs(self.subject.vendor) if run.source == "api"]

    def start_elsewhere(self) -> SandboxRun:
        """Starts a run as a user of the vendor's own UI does."""
        return self.client.start_run(self.subject.target, vendor=self.subject.vendor, kind=self.calls.kind, source="ui")

    @property
    def starts(self) -> str:
        """The number of runs that requests started, in words."""
        count = self.client.starts(self.subject.vendor)
        return f"{count} start{'' if count == 1 else 's'}"

    # --- Dagster

    def asset(self, *, run: RemoteRun[Any] | None = None, retries: int = 0, **options: Any) -> dg.AssetsDefinition:
        """Builds an asset, with a retry policy if ``retries`` is set."""
        return build_remote_run_asset(
            run or self.run,
            key=f"kit_{next(_numbers)}",
            retry_policy=dg.RetryPolicy(max_retries=retries) if retries else None,
            **options,
        )

    def materialize(
        self, asset: dg.AssetsDefinition, *, partition_key: str | None = None, config: Any = None
    ) -> Materialized:
        """Materializes an asset.

        Args:
            asset: The asset.
            partition_key: The partition.
            config: The config of the launch.
        """
        run_config = {**QUIET, **({"ops": {asset.op.name: {"config": config}}} if config else {})}
        result = dg.materialize(
            [asset],
            resources=self.resources,
            instance=self.instance,
            raise_on_error=False,
            partition_key=partition_key,
            run_config=run_config,
        )
        materialized = Materialized(asset.key, result, self.instance)
        self.secrets.check("an error", materialized.error)
        return materialized

    def run_asset(self, *, retries: int = 0, **options: Any) -> Materialized:
        """Builds and materializes an asset."""
        return self.materialize(self.asset(retries=retries, **options))

    def while_waiting(self, action: Callable[[], None], *, pauses: int = 2) -> None:
        """Calls ``action`` in a pause of the step, after it has started a run.

        Args:
            action: What happens.
            pauses: The number of the pause.
        """
        seen = itertools.count(1)
        self.clock.when(lambda: bool(self.started()) and next(seen) >= pauses, action)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Calls ``action`` when this many simulated seconds have passed."""
        due = self.clock.wall() + seconds
        self.clock.when(lambda: self.clock.wall() >= due, action)

    def interrupt(self) -> None:
        """Interrupts the step with a signal, as an eviction or a deployment does."""
        raise dg.DagsterExecutionInterruptedError

    def terminate(self) -> None:
        """Terminates the Dagster run, as a user does."""
        [run] = self.instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        self.instance.report_run_canceling(run)

    # --- expectations that many scenarios share

    def expect_success(self, materialized: Materialized, *, what: str = "") -> str:
        """Expects one start and one materialization with its id, after the run has succeeded at the vendor.

        Returns:
            What was seen.
        """
        prefix = f"{what}: " if what else ""
        started = self.started()
        expect(materialized.success, f"{prefix}{self.starts}; the step failed: {materialized.short_error}")
        expect(len(started) == 1, f"{prefix}{self.starts}; expected 1")
        run, found = started[0], materialized.materializations
        expect(len(found) == 1, f"{prefix}{len(found)} materializations; expected 1")
        shown = found[0].get("dagster_runs/run_id")
        expect(shown == run.id, f"{prefix}the materialization is of run {shown!r}; the vendor started {run.id!r}")
        expect(run.ended_at is not None, f"{prefix}reported as a success while the run was active ({run.state!r})")
        state = found[0].get("dagster_runs/state")
        expect(state == RunState.SUCCEEDED.value, f"{prefix}the state in the metadata is {state!r}")
        return f"{prefix}{self.starts}, succeeded"

    def expect_not_reported(self, materialized: Materialized, *, what: str = "") -> None:
        """Expects that the step failed and materialized nothing."""
        prefix = f"{what}: " if what else ""
        expect(not materialized.success, f"{prefix}reported as a success")
        expect(not materialized.materializations, f"{prefix}the asset was materialized")

    def expect_at_most_one_start(self, materialized: Materialized, *, what: str, was_started: bool) -> str:
        """Expects that a start of unknown outcome led to at most one run, and that the outcome is right.

        Args:
            materialized: The materialization, with retries in Dagster.
            what: What happened to the response.
            was_started: Whether the vendor executed the request.

        Returns:
            What was seen.
        """
        starts = len(self.started())
        expect(starts <= 1, f"{what}: {self.starts}, so the vendor ran it more than once")
        sent = len(self.requests(self.calls.start))
        is_repeated = was_started and sent > 1 and not self.run.start_is_idempotent
        expect(not is_repeated, f"{what}: {self.starts}, but the start was sent {sent} times")
        if materialized.success:
            self.expect_success(materialized, what=what)
            how = "found again" if was_started and not self.run.start_is_idempotent else "sent again"
            with_key = " with the same idempotency key" if self.run.start_is_idempotent else ""
            return f"{what}: {self.starts}, {how}{with_key}"
        self.expect_not_reported(materialized, what=what)
        expect(
            "StartOutcomeUnknown" in materialized.error,
            f"{what}: {self.starts}; expected the run, or StartOutcomeUnknown: {materialized.short_error}",
        )
        return f"{what}: {self.starts}, StartOutcomeUnknown"


def joined(seen: Sequence[str]) -> str:
    """Returns what was seen in the parts of a scenario."""
    return "; ".join(part for part in seen if part)
