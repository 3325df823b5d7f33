"""The command line with a stored Dagster instance, from a lost response to the result."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import pytest

from dagster_runs.sandbox import Fault, Sandbox
from tests.cli.running import PROFILES, names_checked, run, surroundings, write
from tests.remote_run.reexecuting import reexecute

__all__ = ["surroundings"]  # a fixture


@pytest.mark.usefixtures("clock")
def test_whole_way_from_a_lost_response_to_the_result(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stored instance: an uncertain start is listed, adopted, attached to, and found by the vendor's id."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    write("definitions.py", sandbox)
    with dg.DagsterInstance.get() as instance:
        sandbox.add_fault(Fault("lost_response", method="POST", times=1))
        job = _job(Path("definitions.py"))
        parent = job.execute_in_process(instance=instance, raise_on_error=False).run_id
        [started] = sandbox.runs()
        [row] = _json("runs", "-f", "definitions.py", "--json")
        assert (row["state"], row["dagster_run_id"]) == ("uncertain", parent)
        adopted = _json("adopt", "it", started.id, "-f", "definitions.py", "--json")
        assert adopted["next_step"] == f"Re-execute Dagster run {parent} from failure to attach to it."
        again = reexecute(job, instance, parent)
        assert again.success
        found = _json("runs", "--remote-id", started.id, "--json")
        assert [one["dagster_run_id"] for one in found] == [parent, again.run_id, again.run_id]
        nothing = run("cancel", "it", "-f", "definitions.py")
        assert (nothing.exit_code, "No run of it is active or queued" in nothing.stderr) == (1, True)
    assert sandbox.starts() == 1


def _json(*arguments: str) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _job(file: Path) -> dg.JobDefinition:
    found: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), found)
    job: dg.JobDefinition = found["defs"].resolve_implicit_global_asset_job_def()
    return job


@pytest.mark.usefixtures("clock")
def test_components_of_a_dg_project_are_found(sandbox: Sandbox) -> None:
    Path("pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop_b"\n'
    )
    folder = Path("shop_b/defs/profiles")
    folder.mkdir(parents=True)
    for package in ("shop_b", "shop_b/defs"):
        Path(package, "__init__.py").touch()
    Path("shop_b/definitions.py").write_text(
        "from pathlib import Path\nimport dagster as dg\n\n"
        "@dg.definitions\ndef defs():\n"
        "    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
    )
    (folder / "defs.yaml").write_text(
        dedent(f"""\
        type: dagster_runs.RudderStackComponent
        attributes:
          workspace: {{base_url: {sandbox.url}/rudderstack, access_token: "{{{{ env.RUDDERSTACK_TOKEN }}}}"}}
          profiles:
            - {{profiles_id: {PROFILES.profiles_id}, key: user_features}}
        """)
    )
    assert names_checked(run("check")) == ["rudderstack"]
