"""Dagster stores and prints no secrets: these tests search every byte of the instance's storage."""

import logging
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs import RudderStackResource, TestGenResource, build_remote_run_asset
from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.remote_run.materializing import PROFILES, PROFILING, TESTS

SECRETS = (
    well_known.RUDDERSTACK_TOKEN,
    well_known.TESTGEN_CLIENT_SECRET,
    well_known.TESTGEN_REFRESH_TOKEN,
    b64encode(f"{well_known.TESTGEN_CLIENT_ID}:{well_known.TESTGEN_CLIENT_SECRET}".encode()).decode(),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dagster_home")


@pytest.fixture(scope="module")
def instance_on_disk(home: Path) -> Iterator[dg.DagsterInstance]:
    """A shared instance: what one test stores, later tests search again."""
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def resources(sandbox: Sandbox) -> dict[str, object]:
    """Return resources with secrets as literals in code, the worst case."""
    return {
        "rudderstack": RudderStackResource(
            access_token=well_known.RUDDERSTACK_TOKEN, base_url=f"{sandbox.url}/rudderstack", max_retries=1
        ),
        "testgen": TestGenResource(
            base_url=f"{sandbox.url}/testgen",
            client_id=well_known.TESTGEN_CLIENT_ID,
            client_secret=well_known.TESTGEN_CLIENT_SECRET,
            refresh_token=well_known.TESTGEN_REFRESH_TOKEN,
            project_code="DEFAULT",
            max_retries=1,
        ),
    }


FAULTS = [
    None,
    Fault("echo_secret", method="POST", path="start|runs"),
    Fault("echo_secret", method="GET", times=8),
    Fault("status", method="POST", path="start|runs", status=401),
    Fault("html", method="POST", path="start", status=500, body=f"<html>{well_known.RUDDERSTACK_TOKEN}</html>"),
    Fault("redirect", method="POST", path="start|runs", location="https://login.example.com/"),
]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind if fault else "no fault")
@pytest.mark.covers("rudderstack.login.service-access-token")
def test_secrets_are_not_stored_or_printed(
    sandbox: Sandbox,
    instance_on_disk: dg.DagsterInstance,
    home: Path,
    fault: Fault | None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    if fault:
        sandbox.add_fault(fault)
    assets = [build_remote_run_asset(run, key=key) for key, run in (("a", PROFILES), ("b", TESTS), ("c", PROFILING))]
    defs = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("all")], resources=resources(sandbox))
    result = defs.resolve_job_def("all").execute_in_process(instance=instance_on_disk, raise_on_error=False)
    assert result.success is (fault is None or fault.method == "GET")
    printed = capfd.readouterr()
    texts = {"stdout": printed.out, "stderr": printed.err, "log": caplog.text, "repr": repr(resources(sandbox))}
    stored = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in stored)
    for secret in SECRETS:
        assert not [name for name, text in texts.items() if secret in text]
        assert not [path.name for path in stored if secret.encode() in path.read_bytes()]
