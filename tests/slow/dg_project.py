"""A new project in which tests run the commands of `dg`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from dagster_runs.sandbox import Sandbox
from tests.components.projects import sandbox_variables

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Dg:
    """A project in which commands are run."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder / "shop"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            **sandbox_variables(sandbox),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self.folder / 'src'}{os.pathsep}{ROOT}",  # in place of an installation
            "DAGSTER_HOME": str(folder),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.run("create-dagster", "project", "shop", "--no-uv-sync", folder=folder)

    def run(self, *command: str, folder: Path | None = None, succeeds: bool = True, **variables: str) -> str:
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=folder or self.folder,
            env={**self.environment, **variables},
        )
        output = re.sub(r"\x1b\[[0-9;]*m", "", f"{ended.stdout}\n{ended.stderr}")
        assert (ended.returncode == 0) is succeeds, output
        return output

    def dg(self, *arguments: str, succeeds: bool = True, **variables: str) -> str:
        return self.run("dg", *arguments, succeeds=succeeds, **variables)

    @property
    def defs(self) -> Path:
        return self.folder / "src" / "shop" / "defs"

    def forget_server(self) -> None:
        """Makes the stored state one from before it named its server, so that it can be used with the URL of another.

        A server that is down is simulated by another URL, and the state of another server is not used.
        """
        for path in self.defs.glob(".local_defs_state/*/state"):
            state = json.loads(path.read_text())
            del state["server"]["address"]
            path.write_text(json.dumps(state))

    def write(self, yaml: str, name: str = "runs") -> Path:
        path = self.defs / name / "defs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml)
        return path
