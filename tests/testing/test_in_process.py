"""The sandbox without a server responds as the one over HTTP, and so do the faults."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dagster_runs.sandbox import Fault, Sandbox, SandboxClient, well_known
from dagster_runs.sandbox.in_process import InProcessSandbox, OtherHostError
from dagster_runs.testing import fast_forward, sandbox_resources
from dagster_runs.transport.connection import use_adapter
from dagster_runs.transport.errors import VendorError

LIST = ["projects", well_known.TESTGEN_PROJECT, "jobs"]


@pytest.fixture(scope="module")
def in_process() -> InProcessSandbox:
    return InProcessSandbox()


@pytest.fixture(params=["http", "in process"])
def either(request: pytest.FixtureRequest, sandbox: Sandbox, in_process: InProcessSandbox) -> Iterator[SandboxClient]:
    if request.param == "http":
        with fast_forward(sandbox):
            yield sandbox
        return
    in_process.reset()
    with fast_forward(in_process), use_adapter(in_process.adapter):
        yield in_process


def result_of_a_get(sandbox: SandboxClient) -> tuple[Any, ...]:
    """Returns what a call returns or raises, without what differs between two servers."""
    http = sandbox_resources(sandbox.url, max_retries=0, request_timeout=0.3)["testgen"].http()
    try:
        response = http.get(LIST)
    except VendorError as error:
        host = re.sub(r"https?://|(127\.0\.0\.1|sandbox\.localhost)(:\d+)?", "", str(error))
        return type(error).__name__, host, error.status, error.is_permanent
    return response.status, response.json, response.headers["Content-Type"], http.clock_ahead is not None


SEEN: dict[str, tuple[Any, ...]] = {}
FAULTS: dict[str, Fault | None] = {
    "none": None,
    "lost_response": Fault("lost_response"),
    "reset": Fault("reset"),
    "down": Fault("down", seconds=3600),
    "hang": Fault("hang", seconds=5),
    "short hang": Fault("hang", seconds=0.01),
    "status": Fault("status", status=503, retry_after="7"),
    "html": Fault("html"),
    "not_json": Fault("not_json"),
    "short_body": Fault("truncated", variant="short_body"),
    "early_close": Fault("truncated", variant="early_close"),
    "slow_body": Fault("slow_body", seconds=0.01),
    "huge_body": Fault("huge_body", size=17_000_000),
    "redirect": Fault("redirect", location="https://elsewhere.example.com/login"),
    "expired_token": Fault("expired_token"),
    "echo_secret": Fault("echo_secret"),
    "missing_field": Fault("missing_field", field="items"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_call_has_the_same_result_without_http(name: str, either: SandboxClient) -> None:
    fault = FAULTS[name]
    if fault is not None:
        either.add_fault(fault)
    result = result_of_a_get(either)
    assert SEEN.setdefault(name, result) == result
    assert result[0] == 200 if name in ("none", "short hang", "slow_body", "missing_field") else result[0] != 200
    [request] = either.requests("testgen")
    assert request.fault == (fault.kind if fault else None)


def test_body_that_is_too_slow_is_a_timeout_without_waiting(in_process: InProcessSandbox) -> None:
    in_process.reset()
    in_process.add_fault(Fault("slow_body", seconds=60))
    with use_adapter(in_process.adapter):
        kind, message, *_ = result_of_a_get(in_process)
    assert kind == "ConnectionFailedError"
    assert "was not complete after 0.3 s" in message


def test_requests_are_recorded_with_their_headers_and_bodies(either: SandboxClient) -> None:
    http = sandbox_resources(either.url)["rudderstack"].http()
    with pytest.raises(VendorError):
        http.post_once(["sources", "a/b"], json={"parameters": ["--x"]})
    [request] = either.requests("rudderstack")
    assert request.path.endswith("/a%2Fb")
    assert request.body == {"parameters": ["--x"]}
    assert request.headers["authorization"] == "valid"
    assert request.status == 404


def test_path_of_no_vendor_is_404(in_process: InProcessSandbox) -> None:
    in_process.reset()
    resource = sandbox_resources(f"{in_process.url}/nothing")["testgen"]
    with use_adapter(in_process.adapter), pytest.raises(VendorError, match="The sandbox has nothing at /nothing"):
        resource.http().get(LIST)


def test_request_to_another_host_is_not_sent(in_process: InProcessSandbox) -> None:
    resource = sandbox_resources("http://localhost:1")["testgen"]
    with use_adapter(in_process.adapter), pytest.raises(OtherHostError, match="only the sandbox can be reached"):
        resource.http().get(LIST)


def test_existing_clients_use_the_adapter_only_inside_the_block(sandbox: Sandbox, in_process: InProcessSandbox) -> None:
    in_process.reset()
    http = sandbox_resources(sandbox.url)["testgen"].http()
    http.get(LIST)
    with use_adapter(in_process.adapter), pytest.raises(OtherHostError):
        http.get(LIST)
    http.get(LIST)
    assert len(sandbox.requests("testgen")) == 2


def test_controls_are_those_of_the_sandbox(in_process: InProcessSandbox) -> None:
    in_process.reset()
    run = in_process.start_run(well_known.SUITE_CLEAN, vendor="testgen")
    in_process.advance(3600)
    assert [one.id for one in in_process.runs("testgen")] == [run.id]
    assert in_process.starts() == 0
