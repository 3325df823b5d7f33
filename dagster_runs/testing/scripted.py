"""Simulated vendors in the process of a test, whose runs do what the test says."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sandbox import Behavior, SandboxRun
from dagster_runs.sandbox.behavior import Outcome
from dagster_runs.sandbox.in_process import InProcessSandbox
from dagster_runs.sandbox.state import VENDORS, VendorMaker
from dagster_runs.testing.clock import SandboxClock, fast_forward
from dagster_runs.testing.connecting import connected, remote_assets_in
from dagster_runs.testing.resources import sandbox_resources
from dagster_runs.testing.targets import Target, run_of, target_of
from dagster_runs.transport.connection import use_adapter
from dagster_runs.transport.errors import InvalidRequestError


class ScriptedVendors(InProcessSandbox):
    """The five vendors, simulated in this process: no server, no sockets, and no pauses.

    Inside `in_use`, which the fixture ``dagster_runs_vendors`` enters, every request of the package goes to them, and
    a request to any other host is refused. Everything else is real: Dagster, the assets, the clients of the vendors.

    ```python
    def test_bad_data_is_reported(dagster_runs_vendors, dagster_runs_resources):
        dagster_runs_vendors.script(orders_quality, counts={"passed": 3, "failed": 40})
        result = dagster.materialize([orders_quality], resources=dagster_runs_resources)
        [check] = [c for c in result.get_asset_check_evaluations() if c.check_name == "tests_passed"]
        assert not check.passed
        [run] = dagster_runs_vendors.started(orders_quality)
    ```

    It has all controls of `dagster_runs.sandbox.SandboxClient` too: faults, runs that are started elsewhere, the log of
    requests.

    Args:
        vendors: The simulated vendors. Defaults to the built-in ones.
    """

    def __init__(self, vendors: Sequence[VendorMaker] = VENDORS) -> None:
        super().__init__(vendors=vendors)
        self._clock: SandboxClock | None = None
        self._own_resources: dict[str, RemoteRunResource] = {}

    @property
    def clock(self) -> SandboxClock:
        """The clock inside `in_use`, whose pauses take no real time.

        Raises:
            RuntimeError: Outside of `in_use`.
        """
        if self._clock is None:
            raise RuntimeError("the clock exists only inside `with vendors.in_use():`")
        return self._clock

    @contextmanager
    def in_use(self) -> Iterator[SandboxClock]:
        """Sends the package's requests to these vendors inside the block, after a `reset`. Pauses take no real time."""
        self.reset()
        with fast_forward(self) as clock, use_adapter(self.adapter):
            self._clock = clock
            try:
                yield clock
            finally:
                self._clock = None

    def reset(self) -> None:
        """Deletes runs, faults, requests, behaviors, settings, added targets and added resources."""
        super().reset()
        self._own_resources.clear()
        # The vendors count requests in real time, in which a test sends many more than a real client.
        for vendor in self.health()["vendors"]:
            self.configure(vendor, requests_per_second=None)

    def other_host_error(self, host: str) -> Exception:
        """Returns the error of a request to another host, which says what to do in a test."""
        return InvalidRequestError(
            f"nothing was sent to {host}, because this test uses simulated vendors",
            vendor="dagster_runs.testing",
            hint="Pass dagster_runs_resources, or the definitions that dagster_runs_vendors.connect() returns.",
        )

    # --- resources and definitions

    @cached_property
    def _built_in_resources(self) -> Mapping[str, RemoteRunResource]:
        return sandbox_resources(self.url, requests_per_second=None)

    @property
    def resources(self) -> dict[str, RemoteRunResource]:
        """The resources of all vendors, connected to these simulated ones, under their default keys."""
        return {**self._built_in_resources, **self._own_resources}

    def add_resource(self, key: str, resource: RemoteRunResource) -> None:
        """Adds the resource of a vendor of your own, until `reset`.

        Args:
            key: Its key.
            resource: The resource, with a base URL that begins with `url`.
        """
        self._own_resources[key] = resource

    def connect(self, definitions: Any) -> dg.Definitions:
        """Returns definitions whose resources are connected to these vendors. Nothing else in them is changed.

        The resources keep their settings, such as ``poll_interval``, but not their URLs, credentials and accounts,
        whose environment variables need not be set. Resources of other kinds stay as they are. Everything that the
        assets run is added to the simulated vendors, and succeeds unless a script says otherwise.

        Args:
            definitions: The definitions of a code location, or the function that `dagster.definitions` decorates.
        """
        complete: dg.Definitions = definitions if isinstance(definitions, dg.Definitions) else definitions()
        for remote in remote_assets_in(complete):
            if remote.run is not None:
                self._ensure(target_of(remote.run))
        return connected(complete, self._built_in_resources, self._own_resources)

    # --- scripts

    def script(
        self,
        what: Any,
        *outcomes: Outcome | Behavior,
        after: float = 0.0,
        error: str | None = None,
        vendor: str | None = None,
        kind: str | None = None,
        **options: Any,
    ) -> None:
        """Says what the next runs of an asset do.

        Args:
            what: An asset from `build_remote_run_asset`, an `ObservedAsset`, the checks of a suite, or a run such as
                ``TestGenTestRun(...)``.
            *outcomes: The outcomes of the next runs, in order: ``"succeed"``, ``"fail"``, ``"cancel"`` (the run ends
                canceled without our request), or a `Behavior` for everything that this method has no argument for. The
                last one applies to all further runs. Defaults to ``"succeed"``.
            after: The simulated seconds that each run takes. With 0, it has ended at the first poll.
            error: The vendor's message, if a run fails.
            vendor: The name of the simulated vendor. Defaults to the run's resource key.
            kind: The vendor's kind of target, for a vendor of your own that has several.
            **options: What the vendor reports, such as ``counts={"passed": 12, "failed": 1}`` or ``score=0.8`` of
                TestGen, ``tasks=["succeeded", "failed"]`` of Amperity, ``rows`` of RudderStack Reverse ETL. The module
                of the simulated vendor documents them.

        Raises:
            ValueError: There is no such vendor, kind of target or option, or the run is known only in the step.
        """
        target = target_of(run_of(what), vendor, kind)
        self._ensure(target)
        arguments = {"queued_seconds": 0.0, "running_seconds": after, "error": error}
        details = {**_defaults_without(target, options), **arguments, **options}
        behaviors = [
            outcome if isinstance(outcome, Behavior) else Behavior(outcome=outcome, **details)
            for outcome in outcomes or ("succeed",)
        ]
        self.set_behavior(target.id, behaviors, vendor=target.vendor)

    def started(self, what: Any = None, *, vendor: str | None = None, kind: str | None = None) -> list[SandboxRun]:
        """Returns the runs that the package has started, oldest first. The ``body`` of each is the JSON that was sent.

        Args:
            what: As in `script`; ``None`` for the runs of all assets.
            vendor: As in `script`.
            kind: As in `script`.
        """
        if what is None:
            return [run for run in self.runs(vendor) if run.source == "api"]
        target = target_of(run_of(what), vendor, kind)
        return [run for run in self.runs(target.vendor) if run.source == "api" and run.target_id == target.id]

    def start_elsewhere(self, what: Any, *, vendor: str | None = None, kind: str | None = None) -> SandboxRun:
        """Starts a run as the vendor's own schedule or a colleague does, for tests of the observation sensor.

        Args:
            what: As in `script`.
            vendor: As in `script`.
            kind: As in `script`.
        """
        target = target_of(run_of(what), vendor, kind)
        self._ensure(target)
        return self.start_run(target.id, vendor=target.vendor)

    def _ensure(self, target: Target) -> None:
        """Adds a target to the vendor unless it is there."""
        with self._lock:
            [simulated] = self._state.select_vendors(target.vendor)
            if target.id in simulated.targets:
                return
            kinds = list(simulated.run_kinds)
            if target.kind is None and len(kinds) > 1:
                raise ValueError(f"{target.vendor} has several kinds of targets. Pass kind, one of {', '.join(kinds)}")
        behavior = Behavior(queued_seconds=0.0, running_seconds=0.0, **target.defaults)
        self.add_target(target.vendor, target.kind or kinds[0], target.id, behavior, **target.fields)


def _defaults_without(target: Target, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the target's defaults, except for those that the options replace."""
    has_results = {"counts", "results"} & options.keys()
    has_tables = {"table_ct", "columns"} & options.keys()
    return {
        name: value
        for name, value in target.defaults.items()
        if not (name == "counts" and has_results) and not (name == "table_ct" and has_tables)
    }
