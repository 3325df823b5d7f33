"""Measures `dg list defs` with a thousand runs in YAML, and with the same runs in Python, in projects of their own."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.processes import ROOT

RUNS = 1000
_YAML = """\
type: dagster_runs.RudderStackComponent
attributes:
  workspace:
    access_token: "{{ env.RUDDERSTACK_ACCESS_TOKEN }}"
  profiles:
"""
_IN_YAML = """\
    - profiles_id: id_{number}
      key: asset_{number}
"""
_PYTHON = f"""\
import dagster as dg
from dagster_runs import RudderStackProfilesRun, RudderStackResource, build_remote_run_asset

defs = dg.Definitions(
    assets=[
        build_remote_run_asset(RudderStackProfilesRun(profiles_id=f"id_{{number}}"), key=f"asset_{{number}}")
        for number in range({RUNS})
    ],
    resources={{"rudderstack": RudderStackResource(access_token=dg.EnvVar("RUDDERSTACK_ACCESS_TOKEN"))}},
)
"""


@dataclass
class Seconds:
    """The time of the whole command, for each round.

    Attributes:
        yaml: With the runs in YAML.
        python: With the runs in Python.
    """

    yaml: list[float] = field(default_factory=list)
    python: list[float] = field(default_factory=list)

    @property
    def additional(self) -> float:
        """How much longer the command takes with YAML: the difference of the medians."""
        return statistics.median(self.yaml) - statistics.median(self.python)


@cache
def measure(rounds: int) -> Seconds:
    """Alternates the two, after one run of each that compiles the package."""
    found = Seconds()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        in_yaml, in_python = _project(home, "in_yaml"), _project(home, "in_python")
        runs = in_yaml / "src" / "in_yaml" / "defs" / "runs"
        runs.mkdir()
        (runs / "defs.yaml").write_text(_YAML + "".join(_IN_YAML.format(number=number) for number in range(RUNS)))
        (in_python / "src" / "in_python" / "defs" / "runs.py").write_text(_PYTHON)
        for number in range(rounds + 1):
            yaml, python = _listed(in_yaml), _listed(in_python)
            if number:
                found.yaml.append(yaml)
                found.python.append(python)
    return found


def _project(home: Path, name: str) -> Path:
    _run(home, "create-dagster", "project", name, "--no-uv-sync", folder=home)
    return home / name


def _listed(project: Path) -> float:
    begun = time.perf_counter()
    output = _run(
        project.parent, "dg", "list", "defs", folder=project, PYTHONPATH=f"{project / 'src'}{os.pathsep}{ROOT}"
    )
    took = time.perf_counter() - begun
    assert f"asset_{RUNS - 1}" in output
    return took


def _run(home: Path, *command: str, folder: Path, **variables: str) -> str:
    ended = subprocess.run(
        command, cwd=folder, env={**_environment(home), **variables}, check=True, stdout=subprocess.PIPE, text=True
    )
    return ended.stdout


def _environment(home: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DAGSTER_HOME": str(home),
        "RUDDERSTACK_ACCESS_TOKEN": "not used",
    }
