"""`dagster-runs check` against each vendor, and against wrong settings: one line each, what is wrong and what to do."""

import re
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    AmperityResource,
    ProphecyResource,
    RemoteRunResource,
    RudderStackResource,
    SegmentflowResource,
    TestGenResource,
    build_remote_run_asset,
)
from dagster_runs.cli.check import check_connections
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import sandbox_resources
from dagster_runs.transport.clock import use_clock
from tests.cli.locating import location, printed_json
from tests.remote_run.materializing import PROFILES
from tests.remote_run.reexecuting import ClockOff

pytestmark = pytest.mark.usefixtures("clock")

VENDORS = ["amperity", "prophecy", "rudderstack", "segmentflow", "testgen"]
NEEDS: dict[str, tuple[type[RemoteRunResource], str, dict[str, Any]]] = {
    "amperity": (AmperityResource, "access_token", {"tenant": well_known.AMPERITY_TENANT}),
    "prophecy": (ProphecyResource, "access_token", {}),
    "rudderstack": (RudderStackResource, "access_token", {}),
    "segmentflow": (SegmentflowResource, "api_key", {}),
    "testgen": (TestGenResource, "access_token", {"project_code": well_known.TESTGEN_PROJECT}),
}
each_vendor = pytest.mark.parametrize("vendor", VENDORS)


def resource(vendor: str, *, base_url: str, secret: Any = "wrong-token-of-a-test") -> RemoteRunResource:
    cls, name, fields = NEEDS[vendor]
    return cls(base_url=base_url, max_retries=0, **{name: secret}, **fields)


def checked(
    resources: dict[str, RemoteRunResource],
    instance: dg.DagsterInstance,
    capsys: pytest.CaptureFixture[str],
    *,
    assets: list[Any] | None = None,
    fails: bool = True,
) -> list[str]:
    """Returns the lines of the result."""
    capsys.readouterr()
    with location(assets or [], None, instance, resources=resources) as place:
        if fails:
            with pytest.raises(NegativeResult, match=f"{len(resources)} of {len(resources)} resources have a problem"):
                check_connections([place], (), as_json=False)
        else:
            check_connections([place], (), as_json=False)
    captured = capsys.readouterr()
    assert "wrong-token-of-a-test" not in captured.out + captured.err
    return captured.out.splitlines()


def test_all_vendors_are_fine(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = checked(dict(sandbox_resources(sandbox.url)), instance, capsys, fails=False)
    assert [line.split()[:2] for line in lines] == [[vendor, "ok"] for vendor in VENDORS]
    assert all("token accepted" in line and "clocks agree" in line for line in lines)
    assert "tenant sandbox, api-version 2024-04-01" in lines[0]
    assert "project DEFAULT, version 5.134 or later" in lines[4]
    assert sandbox.starts() == 0
    assert {record.method for record in sandbox.requests()} == {"GET"}


def test_older_testgen_server_is_recognized(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    old = TestGenResource(base_url=f"{sandbox.url}/testgen-old", access_token=well_known.TESTGEN_TOKEN)
    [line] = checked({"testgen": old}, instance, capsys, fails=False)
    assert "no project_code, version before 5.134" in line


@each_vendor
def test_variable_that_is_not_set(
    vendor: str, sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = resource(vendor, base_url=f"{sandbox.url}/{vendor}", secret=dg.EnvVar("NO_SUCH_VARIABLE"))
    [line] = checked({vendor: wrong}, instance, capsys)
    assert line.startswith(f"{vendor}  problem  ")
    assert "the environment variable NO_SUCH_VARIABLE is not set; set it where this command runs" in line
    assert sandbox.requests() == []


@each_vendor
def test_wrong_token(
    vendor: str, sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = checked({vendor: resource(vendor, base_url=f"{sandbox.url}/{vendor}")}, instance, capsys)
    assert "returned 401" in line
    assert "Check the resource's credentials. They may be wrong, expired, revoked" in line


@each_vendor
@pytest.mark.parametrize("case", ["another server", "no server"])
def test_wrong_host(
    case: str, vendor: str, sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    base_url = f"{sandbox.url}/nothing-here" if case == "another server" else "http://127.0.0.1:9"
    [line] = checked({vendor: resource(vendor, base_url=base_url)}, instance, capsys)
    assert "base URL" in line
    assert line.rstrip().endswith(".")


@each_vendor
def test_html_instead_of_json(
    vendor: str, sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.add_fault(Fault("html"))
    [line] = checked({vendor: resource(vendor, base_url=f"{sandbox.url}/{vendor}")}, instance, capsys)
    assert "HTML instead of JSON" in line
    assert "Check that the base URL is the vendor's API, and that no proxy or login page intercepts the calls" in line


@each_vendor
def test_clock_that_is_an_hour_off(
    vendor: str, sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    resources = {vendor: sandbox_resources(sandbox.url)[vendor]}
    with use_clock(ClockOff(sandbox, -3600)):
        [line] = checked(dict(resources), instance, capsys)
    assert re.search(r"the server's clock is 3(600|599) s ahead of this machine's", line)
    assert "Synchronize this machine's clock (NTP); if it is right, report it to the server's administrator." in line


def test_unknown_project_of_testgen(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = TestGenResource(
        base_url=f"{sandbox.url}/testgen", access_token=well_known.TESTGEN_TOKEN, project_code="default"
    )
    [line] = checked({"testgen": wrong}, instance, capsys)
    assert "the project 'default' does not exist" in line
    assert "Correct project_code, which is case-sensitive" in line


def test_missing_permission_is_reported(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.configure("segmentflow", scopes=["journeys:trigger"])
    resources = {"segmentflow": sandbox_resources(sandbox.url)["segmentflow"]}
    [line] = checked(dict(resources), instance, capsys)
    assert "returned 403 [insufficient_scope]" in line
    assert "journeys:read" in line


def test_mistake_in_the_code_of_your_own_vendor_is_one_line_too(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    class OwnResource(RudderStackResource):
        def check_access(self, runs: Any) -> str:
            raise KeyError("account")

    given = OwnResource(base_url=f"{sandbox.url}/rudderstack", access_token="wrong-token-of-a-test")
    [line] = checked({"own": given}, instance, capsys)
    assert "OwnResource.check_access() raised KeyError" in line


def test_resource_without_known_runs_is_reported_as_not_checked(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    class OtherResource(RudderStackResource):
        check_access = RemoteRunResource.check_access

    given = OtherResource(base_url=f"{sandbox.url}/rudderstack", access_token=well_known.RUDDERSTACK_TOKEN)
    [line] = checked({"rudderstack": given}, instance, capsys, fails=False)
    assert "credentials not checked (no asset uses it)" in line
    used = build_remote_run_asset(PROFILES, key="it")
    [line] = checked({"rudderstack": given}, instance, capsys, assets=[used], fails=False)
    assert "token accepted" in line
    assert sandbox.starts() == 0


def test_one_resource_can_be_chosen_and_printed_as_json(
    sandbox: Sandbox, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    with location([], None, instance, resources=dict(sandbox_resources(sandbox.url))) as place:
        check_connections([place], ["prophecy"], as_json=True)
        [found] = printed_json(capsys)
        with pytest.raises(Unusable, match="no vendor's resource other; the resources are: amperity, prophecy"):
            check_connections([place], ["other"], as_json=True)
    assert (found["resource"], found["vendor"], found["ok"]) == ("prophecy", "Prophecy", True)
    assert found["url"] == f"{sandbox.url}/prophecy"
    assert abs(found["clock_ahead_seconds"]) < 2


def test_definitions_without_vendors_are_refused(instance: dg.DagsterInstance) -> None:
    refused = pytest.raises(Unusable, match="There are no vendors' resources")
    other = {"other": dg.ResourceDefinition.none_resource()}
    with location([], None, instance, resources=other) as place, refused:
        check_connections([place], (), as_json=False)
