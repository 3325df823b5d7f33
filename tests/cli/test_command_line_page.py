"""The outputs on docs/command-line.md are what the commands print.

`UPDATE_COMMAND_LINE_PAGE=1 pytest tests/cli/test_command_line_page.py` writes them.
"""

import os
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
import pytest
import yaml

from dagster_runs import TestGenResource
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.cli.running import run, surroundings
from tests.cli.test_testgen_login import logs_in
from tests.remote_run.materializing import materialize

__all__ = ["surroundings"]  # a fixture

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
BLOCK = re.compile(r"^```console\n\$ (dagster-runs [^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [command for command, _ in BLOCK.findall(PAGE.read_text())]
URLS = {
    "amperity": "https://app.amperity.com",
    "prophecy": "https://app.prophecy.io",
    "rudderstack": "https://api.rudderstack.com",
    "segmentflow": "https://api.segmentflow.ai",
    "testgen": "https://testgen.example.com",
}
IDS = {
    "user_features": ("cqf7pvv8sp57cfhreg0g", "5f0c6c2e-9f0f-4d5e-8a3b-1c2d3e4f5a6b"),
    "customer_360": ("MDAw-xZGYzYzc3LTYz--LTQ3NTQ1ZYjI2Mw==", "0d9a1b7c-3e4f-4a5b-9c6d-7e8f9a0b1c2d"),
    "orders": ("8c2b0f55-6a5e-4e0f-9d8c-3f1a2b4c5d6e", "b1a2c3d4-5e6f-4071-8293-a4b5c6d7e8f9"),
    "queued": ("71d0c5a8e4b94f6c9a3d2e1f0b8c7d6e", "e7f8a9b0-c1d2-4e3f-8a4b-5c6d7e8f9a0b"),
    "churn": ("MDAw-k3JzYzFmLWE2--NDI2ZmIzM2ViMTk2OQ==", "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"),
}
DEFINITIONS = f"""
import os
import dagster as dg
from dagster_runs import ProphecyPipelineRun, RudderStackProfilesRun, TestGenTestRun, build_remote_run_asset
from dagster_runs.testing import sandbox_resources

user_features = build_remote_run_asset(
    RudderStackProfilesRun(profiles_id="{well_known.PROFILES_FEATURES}"), key="user_features"
)
orders_quality = build_remote_run_asset(
    TestGenTestRun(test_suite_id="{well_known.SUITE_ORDERS}"), key=["testgen", "orders_quality"], wait="defer"
)


def pipeline(key, name, **options):
    run = ProphecyPipelineRun(
        fabric_id={well_known.PROPHECY_FABRIC}, project_id="{well_known.PROPHECY_PROJECT}", pipeline_name=name
    )
    return build_remote_run_asset(run, key=key, **options)


customer_360 = pipeline("customer_360", "{well_known.PROPHECY_PIPELINE}")
churn_model = pipeline("churn_model", "{well_known.PROPHECY_PIPELINE}", timeout=60)
defs = dg.Definitions(
    assets=[user_features, customer_360, orders_quality, churn_model],
    resources=sandbox_resources(os.environ["SANDBOX_URL"]),
    executor=dg.in_process_executor,
)
"""


class Scenario:
    """A code location in which something of everything is in flight, and what replaces its ids on the page."""

    def __init__(self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
        self._sandbox = sandbox
        self._names: dict[str, str] = {}
        Path("pyproject.toml").write_text('[tool.dagster]\nmodule_name = "shop_definitions"\n')
        Path("shop_definitions.py").write_text(DEFINITIONS)
        names: dict[str, object] = {}
        exec(DEFINITIONS, names)
        sandbox.set_behavior(well_known.SUITE_ORDERS, Behavior(running_seconds=40_000))
        sandbox.set_behavior(well_known.PROPHECY_PIPELINE, Behavior(running_seconds=40_000))

        def launch(asset: str, name: str) -> None:
            known = {one.id for one in sandbox.runs()}
            dagster_run = materialize([names[asset]], sandbox, instance).run_id
            for one in sandbox.runs():
                if one.id not in known:
                    self._names[one.id] = IDS[name][0]
            self._names[dagster_run] = IDS[name][1]

        launch("churn_model", "churn")  # times out
        clock.sleep(3 * 3600)
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        launch("user_features", "user_features")
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        launch("customer_360", "customer_360")
        clock.sleep(25 * 60)
        launch("orders_quality", "orders")
        clock.sleep(10 * 60 + 20)
        launch("orders_quality", "queued")
        clock.sleep(5 * 60 + 20)

    def on_page(self, text: str) -> str:
        """Returns a text as it is on the page."""
        for mount, url in URLS.items():
            text = text.replace(f"{self._sandbox.url}/{mount}", url)
        for actual, shown in self._names.items():
            text = text.replace(actual, shown)
        text = re.sub(r"\brequest [0-9a-f]{32}\b", f"request {IDS['queued'][0]}", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "2026-12-10 06:15:42 UTC", text)
        text = re.sub(r"until \d{4}-\d\d-\d\d", "until 2027-01-09", text)
        text = re.sub(r"authorize\?\S+", "authorize?response_type=code&client_id=…&code_challenge_method=S256", text)
        text = re.sub(r"(TESTGEN_CLIENT_ID=)\S+", r"\g<1>4f1d0c2b9a8e7f6d5c4b3a29", text)
        text = re.sub(r"(TESTGEN_CLIENT_SECRET=)\S+", r"\g<1>…", text)
        return re.sub(r"(TESTGEN_REFRESH_TOKEN=)\S+", r"\g<1>…", text)

    def output(self, command: str) -> str:
        """Runs a command of the page, and returns its output as it is on the page."""
        arguments = shlex.split(command)[1:]
        for actual, shown in self._names.items():
            arguments = [actual if one == shown else one for one in arguments]
        arguments = [self._sandbox.url + "/testgen" if one == URLS["testgen"] else one for one in arguments]
        if "--resource" in arguments and arguments[0] == "check":
            self._sandbox.add_fault(Fault("expired_token", times=1))
        return self.on_page(run(*arguments).output)


@pytest.fixture
def scenario(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scenario]:
    monkeypatch.setenv("SANDBOX_URL", sandbox.url)
    monkeypatch.setenv("DAGSTER_HOME", str(Path.cwd()))
    monkeypatch.setattr(dg.DagsterInstance, "get", staticmethod(lambda: instance))
    monkeypatch.setattr(instance, "dispose", lambda: None)  # a command closes the instance at its end
    threads: list[threading.Thread] = []
    echo = click.echo

    def opens_the_printed_address(message: object = None, **options: object) -> None:
        echo(message, **options)
        found = re.search(r"^http\S+/oauth/authorize\?\S+", str(message), re.MULTILINE)
        if found is not None:
            threads.append(threading.Thread(target=logs_in, args=(found.group(),)))
            threads[-1].start()

    monkeypatch.setattr("click.echo", opens_the_printed_address)
    yield Scenario(sandbox, instance, clock)
    for thread in threads:
        thread.join()


def test_outputs_are_what_the_commands_print(scenario: Scenario) -> None:
    printed = {command: scenario.output(command) for command in COMMANDS}
    text = BLOCK.sub(lambda block: f"```console\n$ {block[1]}\n{printed[block[1]]}```", PAGE.read_text())
    if os.environ.get("UPDATE_COMMAND_LINE_PAGE"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text


def test_settings_for_the_resource_are_those_of_the_class() -> None:
    [block] = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert set(yaml.safe_load(block)["attributes"]["workspace"]) <= set(TestGenResource.model_fields)


def test_page_shows_the_help_of_every_command() -> None:
    from dagster_runs.cli.main import main

    assert {f"dagster-runs {name} --help" for name in main.commands} <= set(COMMANDS)
