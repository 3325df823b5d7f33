"""The commands as a user runs them: how definitions and the instance are found, exit codes, and `--help`."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from dagster_runs.cli.main import main
from dagster_runs.sandbox import Sandbox, well_known
from tests.cli.running import names_checked, run, surroundings, write

__all__ = ["surroundings"]  # a fixture
pytestmark = pytest.mark.usefixtures("clock")


def test_help_lists_all_commands_without_importing_dagster() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from dagster_runs.cli.main import main;"
        "print(CliRunner().invoke(main, ['--help']).output); print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("adopt", "cancel", "check", "runs", "testgen-login"):
        assert f"\n  {command} " in ended.stdout
    assert not {"dagster", "requests"} & set(ended.stderr.split())


def test_module_is_the_same_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dagster_runs.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("dagster-runs, version ")


def test_console_script_is_this_command() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    module, _, name = re.search(r'^dagster-runs = "(.*)"$', text, re.MULTILINE)[1].partition(":")
    assert getattr(import_module(module), name) is main


def test_wrong_options_are_a_usage_error(sandbox: Sandbox) -> None:
    for arguments in (["nothing"], ["check", "--nothing"], ["adopt", "it"], ["adopt", "it", "x", "--none"], ["cancel"]):
        assert run(*arguments).exit_code == 2, arguments


def test_definitions_of_a_file_are_found(sandbox: Sandbox) -> None:
    write("elsewhere/definitions.py", sandbox)
    assert names_checked(run("check", "-f", "elsewhere/definitions.py")) == ["rudderstack"]
    assert names_checked(run("check", "-d", "elsewhere", "-m", "definitions")) == ["rudderstack"]


@pytest.mark.parametrize(
    "pyproject",
    [
        '[tool.dagster]\nmodule_name = "shop_a.definitions"\n',
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop_a"\n',
    ],
    ids=["dagster", "dg"],
)
def test_definitions_of_the_project_are_found_from_a_folder_inside(
    pyproject: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pyproject.toml").write_text(pyproject)
    write("shop_a/definitions.py", sandbox)
    Path("shop_a/deeper").mkdir()
    Path("shop_a/__init__.py").touch()
    monkeypatch.chdir("shop_a/deeper")
    assert names_checked(run("check")) == ["rudderstack"]


def test_locations_of_a_workspace_are_found_and_other_pythons_left_out(sandbox: Sandbox) -> None:
    write("a.py", sandbox)
    write("b.py", sandbox, key="that")
    Path("workspace.yaml").write_text(
        "load_from:\n  - python_file: a.py\n  - python_file: {relative_path: b.py, location_name: b}\n"
        "  - python_file: {relative_path: b.py, location_name: other, executable_path: /other/python}\n"
    )
    for arguments in (["check"], ["check", "-w", "workspace.yaml"]):
        result = run(*arguments)
        assert names_checked(result) == ["rudderstack", "rudderstack"]
        assert "other is left out: it uses /other/python. Run dagster-runs with that Python." in result.stderr


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (None, "", "No arguments given and no [tool.dagster] block in pyproject.toml found"),
        ("pyproject.toml", '[tool.dg]\ndirectory_type = "workspace"\n', "The project has no code location"),
        ("workspace.yaml", "load_from:\n  - python_file: broken.py\n", "cannot be loaded: no luck"),
        (
            "workspace.yaml",
            "load_from:\n  - grpc_server: {host: localhost, port: 4266}\n",
            "it is a running code server",
        ),
    ],
    ids=["nothing", "workspace of dg", "broken", "code server"],
)
def test_definitions_that_cannot_be_loaded_are_reported(file: str | None, content: str, message: str) -> None:
    Path("broken.py").write_text("raise RuntimeError('no luck')\n")
    if file is not None:
        Path(file).write_text(content)
    result = run("check")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_variables_of_the_env_file_are_set(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUDDERSTACK_TOKEN")
    write("definitions.py", sandbox)
    failed = run("check", "-f", "definitions.py")
    assert failed.exit_code == 1
    assert "the environment variable RUDDERSTACK_TOKEN is not set" in failed.stdout
    assert "Error: 1 of 1 resources have a problem: rudderstack" in failed.stderr
    Path(".env").write_text(f"RUDDERSTACK_TOKEN={well_known.RUDDERSTACK_TOKEN}\n")
    assert names_checked(run("check", "-f", "definitions.py")) == ["rudderstack"]


@pytest.mark.parametrize("command", ["runs", "runs --remote-id x", "cancel it", "adopt it --none"])
def test_commands_that_read_the_event_log_need_an_instance(command: str, sandbox: Sandbox) -> None:
    write("definitions.py", sandbox)
    result = run(*command.split(), "-f", "definitions.py")
    assert result.exit_code == 2
    assert "DAGSTER_HOME is not set" in result.stderr
