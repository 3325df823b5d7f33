"""`dagster-runs testgen-login` and `check` with a real TestGen server, and a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_testgen import RealTestGen

from tests.e2e.ui_browser import browser

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # the first test may have to install TestGen
needs_chromium = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), reason="needs Chromium"
)
CLI = [sys.executable, "-m", "dagster_runs.cli"]
DEFINITIONS = """
import dagster as dg
from dagster_runs import TestGenResource

defs = dg.Definitions(
    resources={
        "testgen": TestGenResource(
            base_url=dg.EnvVar("TESTGEN_URL"),
            client_id=dg.EnvVar("TESTGEN_CLIENT_ID"),
            client_secret=dg.EnvVar("TESTGEN_CLIENT_SECRET"),
            refresh_token=dg.EnvVar("TESTGEN_REFRESH_TOKEN"),
            project_code="DEFAULT",
        )
    }
)
"""


@contextmanager
def login_command(server: RealTestGen, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs the command. Yields it, and the address that it prints."""
    command = [*CLI, "testgen-login", server.base_url, "--no-browser", "--timeout", "120", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        try:
            assert running.stderr.readline() == "Log in to TestGen at this address:\n"
            yield running, running.stderr.readline().strip()
        finally:
            running.kill()


@needs_chromium
def test_login_in_a_browser_leads_to_credentials_that_work(testgen_server: RealTestGen, tmp_path: Path) -> None:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    with login_command(testgen_server, "--write-env", str(tmp_path / ".env")) as (running, url), browser() as chromium:
        page = chromium.new_page()
        page.goto(url)
        page.get_by_text("dagster-runs").wait_for()  # the name of the client that is authorized
        page.locator("input[name=username]").fill(testgen_server.username)
        page.locator("input[name=password]").fill("wrong")
        page.get_by_role("button").click()
        page.get_by_text("Invalid username or password").wait_for()
        page.locator("input[name=username]").fill(testgen_server.username)
        page.locator("input[name=password]").fill(testgen_server.password)
        page.get_by_role("button").click()
        page.get_by_role("heading", name="Logged in").wait_for()
        assert page.url.startswith("http://127.0.0.1:")
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert out == ""
    assert "Checked: TestGen accepts the new credentials" in err
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    secret = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())["TESTGEN_REFRESH_TOKEN"]
    assert secret not in err
    checked = subprocess.run(
        [*CLI, "check", "-f", "definitions.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "token accepted, project DEFAULT, version 5.134 or later, clocks agree" in checked.stdout
    assert secret not in checked.stdout + checked.stderr


def test_wrong_settings_of_a_real_server_are_reported(testgen_server: RealTestGen, tmp_path: Path) -> None:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    wrong = {
        "TESTGEN_URL": testgen_server.base_url,
        "TESTGEN_CLIENT_ID": "none",
        "TESTGEN_CLIENT_SECRET": "none",
        "TESTGEN_REFRESH_TOKEN": "none",
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in wrong.items()))
    checked = subprocess.run(
        [*CLI, "check", "-f", "definitions.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1
    [line] = checked.stdout.splitlines()
    assert "401" in line
    assert "Log in to TestGen again to get a new refresh token" in line
