"""A project with discovery, started by `dg dev` and as in production, while TestGen's server is dead."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_runs.components.testgen import FETCH_SECONDS_ON_LOAD
from dagster_runs.sandbox import Sandbox, well_known
from tests.slow.dg_project import BIN, Dg
from tests.slow.running_dagster import Loaded, loaded

pytestmark = pytest.mark.timeout(600)
YAML = f"""
type: dagster_runs.TestGenComponent
attributes:
  workspace:
    base_url: "{{{{ env.TESTGEN_URL }}}}"
    access_token: "{{{{ env.TESTGEN_TOKEN }}}}"
    project_code: DEFAULT
  suites:
    - test_suite_id: {well_known.SUITE_FEATURES}
      key: quality/features
  discover:
    suites: {{include: ["o*"]}}
"""
LISTED, FOUND = {"quality/features"}, {"quality/features", "testgen/suites/orders"}
REFUSES = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Dg:
    running_sandbox.reset()
    found = Dg(tmp_path_factory.mktemp("dagster_home"), running_sandbox)
    found.write(YAML)
    return found


@pytest.fixture(scope="module")
def state(project: Dg) -> Path:
    """A copy of the state, which was fetched while the server could be reached."""
    project.dg("utils", "refresh-defs-state")
    project.forget_server()
    folder = project.defs / ".local_defs_state"
    kept = project.folder / "kept_state"
    shutil.move(folder, kept)
    return kept


@pytest.fixture
def without_state(project: Dg) -> None:
    shutil.rmtree(project.defs / ".local_defs_state", ignore_errors=True)


@pytest.fixture
def with_state(project: Dg, state: Path) -> None:
    shutil.copytree(state, project.defs / ".local_defs_state", dirs_exist_ok=True)


@pytest.fixture
def hanging() -> Iterator[str]:
    """The URL of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def dev(project: Dg, url: str, tmp_path: Path) -> Loaded:
    return start(project, url, tmp_path, str(BIN / "dg"), "dev")


def production(project: Dg, url: str, tmp_path: Path) -> Loaded:
    return start(project, url, tmp_path, str(BIN / "dagster-webserver"), "--module-name", "shop.definitions")


def start(project: Dg, url: str, tmp_path: Path, *command: str) -> Loaded:
    environment = {**project.environment, "TESTGEN_URL": url}
    with loaded(*command, folder=project.folder, log=tmp_path / "log", environment=environment) as found:
        print(f"{found.seconds:.1f} s\n{found.output}")
        return found


@pytest.mark.usefixtures("without_state")
def test_dev_loads_what_is_listed_if_the_server_refuses_connections(project: Dg, tmp_path: Path) -> None:
    found = dev(project, REFUSES, tmp_path)
    assert found.assets == LISTED
    assert "Missing are suites o*; the code location is loaded only with what is listed in YAML (1)" in found.output
    assert found.output.count("TestGenComponent testgen: ") == 1


@pytest.mark.usefixtures("with_state")
def test_dev_loads_the_state_if_the_server_hangs(project: Dg, hanging: str, tmp_path: Path) -> None:
    found = dev(project, hanging, tmp_path)
    assert found.assets == FOUND
    assert FETCH_SECONDS_ON_LOAD - 1 < found.seconds < FETCH_SECONDS_ON_LOAD + 60
    assert "The code location is loaded with the state that was fetched" in found.output


@pytest.mark.usefixtures("without_state")
def test_production_loads_what_is_listed_without_a_call(project: Dg, hanging: str, tmp_path: Path) -> None:
    found = production(project, hanging, tmp_path)
    assert found.assets == LISTED
    assert "No state has been fetched yet" in found.output


@pytest.mark.usefixtures("with_state")
def test_production_loads_the_state_without_a_call(project: Dg, hanging: str, tmp_path: Path) -> None:
    found = production(project, hanging, tmp_path)
    assert found.assets == FOUND
    assert "TestGenComponent" not in found.output
