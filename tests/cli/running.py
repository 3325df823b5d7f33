"""Runs commands in this process, in a folder of the test's own."""

import os
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dagster_runs.cli.main import main
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import PROFILES

DEFINITIONS = """
import dagster as dg
from dagster_runs import RudderStackProfilesRun, RudderStackResource, build_remote_run_asset

defs = dg.Definitions(
    executor=dg.in_process_executor,
    assets=[build_remote_run_asset(RudderStackProfilesRun(profiles_id="{profiles_id}"), key="{key}")],
    resources={{
        "rudderstack": RudderStackResource(access_token=dg.EnvVar("RUDDERSTACK_TOKEN"), base_url="{url}/rudderstack")
    }},
)
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs the test in a folder of its own, and forgets what the commands change in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("RUDDERSTACK_TOKEN", well_known.RUDDERSTACK_TOKEN)
    before, modules = dict(os.environ), set(sys.modules)
    yield
    os.environ.clear()
    os.environ.update(before)
    for name in set(sys.modules) - modules:
        if not name.startswith(("dagster", "click")):
            del sys.modules[name]


def write(path: str, sandbox: Sandbox, *, key: str = "it") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(DEFINITIONS.format(profiles_id=PROFILES.profiles_id, key=key, url=sandbox.url))
    return file


def run(*arguments: str) -> Result:
    # Before 8.2, click puts both outputs together by default; later, there is no such parameter.
    is_old = "mix_stderr" in signature(CliRunner).parameters
    return CliRunner(**{"mix_stderr": False} if is_old else {}).invoke(main, arguments)


def names_checked(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [line.split()[0] for line in result.stdout.splitlines()]
