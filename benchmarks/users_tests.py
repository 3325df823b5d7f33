"""Measures what a user's test of one asset costs, with the fixtures of the test kit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from dagster_runs import TestGenTestRun, build_completion_sensor, build_remote_run_asset
from dagster_runs.testing import CodeLocation, ScriptedVendors

_RUN = TestGenTestRun(test_suite_id="8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c")


class UsersTests:
    """The fixtures of a session, and the tests that are measured.

    The time is that of the processor, because what the machine does at the same time should not count. Imports are not
    included, nor is what happens once in a session.
    """

    def __init__(self) -> None:
        self._vendors = ScriptedVendors()
        self._asset = build_remote_run_asset(_RUN, key="quality")
        self._deferred = build_remote_run_asset(_RUN, key="deferred", wait="defer")
        self._plain = dg.asset(_do_nothing, name="plain")
        self._defs = dg.Definitions(
            assets=[self._deferred],
            sensors=[build_completion_sensor([self._deferred])],
            resources={"testgen": self._vendors.resources["testgen"]},
        )

    @contextmanager
    def session(self) -> Iterator[None]:
        """Creates what the tests of a session share."""
        with dg.DagsterInstance.ephemeral() as self._instance:
            yield

    def of_an_asset(self) -> None:
        """Materializes an asset."""
        self._instance.wipe()
        with self._vendors.in_use():
            self._vendors.script(self._asset, counts={"passed": 12})
            self._materialize(self._asset)
            assert len(self._vendors.started(self._asset)) == 1

    def of_a_sensor(self) -> None:
        """Starts a deferred run, and lets the completion sensor report it."""
        self._instance.wipe()
        with self._vendors.in_use():
            self._vendors.script(self._deferred, after=3600)
            location = CodeLocation(self._vendors.connect(self._defs), self._instance)
            location.materialize(self._deferred)
            location.run_until(lambda: location.materializations("deferred"), within=7200)

    def of_dagster(self) -> None:
        """Materializes an asset that does nothing."""
        self._instance.wipe()
        self._materialize(self._plain)

    def _materialize(self, asset: dg.AssetsDefinition) -> None:
        resources = {"testgen": self._vendors.resources["testgen"]}
        assert dg.materialize([asset], instance=self._instance, resources=resources).success


def measure(test: Callable[[UsersTests], None], times: int) -> list[float]:
    """Returns the milliseconds of the processor that a test takes, after a first one that fills caches."""
    tests = UsersTests()
    found = []
    with tests.session():
        for _ in range(times + 1):
            begun = time.process_time()
            test(tests)
            found.append(1000 * (time.process_time() - begun))
    return found[1:]


def _do_nothing() -> None: ...
