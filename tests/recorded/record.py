"""`python -m tests.recorded.record --commit 13aeda3 [SCENARIO …]`: records what an earlier commit's package writes.

A process that imports that commit's package and the current sandbox executes the scenarios with real Dagster code. The
result shows what users' databases contain, so record only commits whose data must stay readable, and never change a
recording to make a test pass. 677d052 is recorded only with the scenarios in which it writes different data:
features_active attached_active terminated partly_reported half_a_tick observed
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tests.regressions.trees import SANDBOX, build_base, check_package, environment

FOLDER = Path(__file__).parent
_TIMEOUT_SECONDS = 600.0


@click.command()
@click.option("--commit", required=True, help="The commit whose package writes.")
@click.argument("scenarios", nargs=-1)
def main(commit: str, scenarios: tuple[str, ...]) -> None:
    """Record what the package of a commit writes, in SCENARIOS or in all."""
    with tempfile.TemporaryDirectory(prefix="recorded-") as folder:
        tree = Path(folder)
        # The scenarios use the current sandbox, which imports nothing else from the package.
        build_base(commit, tree, overlaid=(SANDBOX,))
        check_package(tree)
        done = subprocess.run(
            [sys.executable, "-m", "tests.recorded.scenarios", *scenarios],
            cwd=tree,
            env=environment(tree),
            stdout=subprocess.PIPE,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    recorded = {"commit": commit, **json.loads(done.stdout)}
    target = FOLDER / f"{commit}.json"
    target.write_text("".join(written(recorded)), encoding="utf-8")
    click.echo(
        f"{target.relative_to(Path.cwd())}: {len(recorded['scenarios'])} scenarios, {target.stat().st_size:,} bytes"
    )


def written(value: Any, depth: int = 0) -> Iterator[str]:
    """JSON with one line for each Dagster run, event and snapshot."""
    if depth == _DEPTH_OF_LINES or not isinstance(value, (dict, list)) or not value:
        yield json.dumps(value, separators=(",", ":"))
        return
    begin, end = "[]" if isinstance(value, list) else "{}"
    items = [("", one) for one in value] if isinstance(value, list) else list(value.items())
    yield f"{begin}\n"
    for number, (name, one) in enumerate(items):
        yield f"{json.dumps(name)}:" if name else ""
        yield from written(one, depth + 1)
        yield ",\n" if number + 1 < len(items) else "\n"
    yield end
    if depth == 0:
        yield "\n"


_DEPTH_OF_LINES = 4
"""The recording, its scenarios, one scenario, its events; each event is one line."""


if __name__ == "__main__":
    main()
