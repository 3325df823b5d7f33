"""The blocks of docs/testgen-in-ten-minutes.md, word for word but for the port, in a new project."""

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.docs_project.environment import ROOT, create_environment

pytestmark = pytest.mark.timeout(600)
PAGE = ROOT / "docs" / "testgen-in-ten-minutes.md"
_BLOCK = re.compile(
    r"^(?:Write `(?P<path>[^`]+)`:\n\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SANDBOX = "python -m dagster_runs.sandbox"
_RESULTS = """
import json
import dagster as dg
from dagster_runs.dagster_private import newest_evaluations

import dagster_runs

with dg.DagsterInstance.get() as instance:
    found = {"package": dagster_runs.__file__}
    for name in ("stg_orders", "stg_features"):
        one = next(iter(newest_evaluations(instance, dg.AssetCheckKey(dg.AssetKey(name), "testgen__tests"), 0.0)))
        found[name] = [one.passed, one.severity.value, one.target_materialization_data is not None]
    print(json.dumps(found))
"""


def script_of(page: str, port: int) -> str:
    """Returns a shell script that does what the page says, in its order. The sandbox runs until the script ends."""
    lines = ["set -euo pipefail"]
    for match in _BLOCK.finditer(page):
        text = match["text"].replace("8099", str(port))
        if match["path"]:
            path = match["path"]
            lines.append(f"mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END_OF_FILE'\n{text}END_OF_FILE")
        elif text.startswith(_SANDBOX):
            lines.append(f"{text.rstrip()} >sandbox.log 2>&1 &\ntrap 'kill %1' EXIT")
            wait = f"until (echo >/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"
            lines.append(f"timeout 30 bash -c '{wait}'")
        elif not match["language"]:
            lines.append(text)
    return "\n".join(lines) + f"\npython - <<'END_OF_FILE'\n{_RESULTS}END_OF_FILE\n"


def test_the_page_leads_to_results_on_two_tables(tmp_path: Path) -> None:
    environment = create_environment(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = subprocess.run(
        ["bash", "-c", script_of(PAGE.read_text(), port)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("package").startswith(str(tmp_path))
    assert found == {"stg_orders": [False, "ERROR", True], "stg_features": [True, "ERROR", True]}
