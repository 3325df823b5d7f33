"""Fixtures for testing your own definitions, which pytest finds by the entry point of the package.

pytest imports this module in every project that has the package installed, so it imports nothing but pytest. The
fixtures import Dagster and the simulated vendors when a test uses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dagster import DagsterInstance, Definitions

    from dagster_runs.remote_run.resource import RemoteRunResource
    from dagster_runs.sandbox import Sandbox
    from dagster_runs.sandbox.state import VendorMaker
    from dagster_runs.testing import CodeLocation, SandboxClock, ScriptedVendors


@pytest.fixture(scope="session")
def dagster_runs_simulated_vendors() -> Sequence[VendorMaker]:
    """The classes of the simulated vendors. Override it to add a vendor of your own: a subclass of `sandbox.Vendor`."""
    from dagster_runs.sandbox.state import VENDORS

    return VENDORS


@pytest.fixture(scope="session")
def _dagster_runs_vendors_of_session(dagster_runs_simulated_vendors: Sequence[VendorMaker]) -> ScriptedVendors:
    from dagster_runs.testing import ScriptedVendors

    return ScriptedVendors(dagster_runs_simulated_vendors)


@pytest.fixture
def dagster_runs_vendors(_dagster_runs_vendors_of_session: ScriptedVendors) -> Iterator[ScriptedVendors]:
    """The vendors, simulated in this process, with nothing in them yet. Pauses take no time."""
    vendors = _dagster_runs_vendors_of_session
    with vendors.in_use():
        yield vendors


@pytest.fixture
def dagster_runs_clock(dagster_runs_vendors: ScriptedVendors) -> SandboxClock:
    """The time of `dagster_runs_vendors`. Its ``sleep`` lets simulated time pass, and ``pauses`` has all pauses."""
    return dagster_runs_vendors.clock


@pytest.fixture
def dagster_runs_resources(dagster_runs_vendors: ScriptedVendors) -> dict[str, RemoteRunResource]:
    """The resources of all vendors under their default keys, connected to `dagster_runs_vendors`."""
    return dagster_runs_vendors.resources


@pytest.fixture(scope="session")
def _dagster_runs_instance_of_session() -> Iterator[DagsterInstance]:
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def dagster_runs_instance(_dagster_runs_instance_of_session: DagsterInstance) -> DagsterInstance:
    """A Dagster instance in memory with nothing in it yet. It is created once, which takes longer than most tests."""
    _dagster_runs_instance_of_session.wipe()
    return _dagster_runs_instance_of_session


@pytest.fixture
def dagster_runs_location(
    dagster_runs_vendors: ScriptedVendors, dagster_runs_instance: DagsterInstance
) -> Callable[..., CodeLocation]:
    """A function that returns definitions as a `CodeLocation`, with resources connected to `dagster_runs_vendors`."""
    from dagster_runs.testing import CodeLocation

    def location(definitions: Definitions, *, sensors: Sequence[str] | None = None) -> CodeLocation:
        return CodeLocation(dagster_runs_vendors.connect(definitions), dagster_runs_instance, sensors)

    return location


@pytest.fixture(scope="session")
def _dagster_runs_sandbox_of_session(dagster_runs_simulated_vendors: Sequence[VendorMaker]) -> Iterator[Sandbox]:
    from dagster_runs.sandbox import Sandbox

    with Sandbox(vendors=dagster_runs_simulated_vendors) as sandbox:
        yield sandbox


@pytest.fixture
def dagster_runs_sandbox(_dagster_runs_sandbox_of_session: Sandbox) -> Sandbox:
    """The sandbox over HTTP, with nothing in it yet, for tests with several processes. Pauses take real time."""
    _dagster_runs_sandbox_of_session.reset()
    return _dagster_runs_sandbox_of_session
