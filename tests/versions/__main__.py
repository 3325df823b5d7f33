"""`python -m tests.versions`: runs the unit and integration tests with the wheel, on other versions.

`python -m tests.versions 3.10-lowest 3.13-newest` runs these two. Without an argument, it runs all combinations of the
ends, and the Python versions between them with the newest dependencies.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import click

from tests.versions.environments import PYTHONS, End, Environment, build_wheel, copy_checkout

# What these test is the source and its pages, which do not depend on versions.
OF_THE_SOURCE = (
    "tests/cli/test_command_line_page.py",
    "tests/test_architecture.py",
    "tests/test_dependencies.py",
    "tests/test_links.py",
    "tests/test_names.py",
    "tests/test_public_names.py",
    "tests/test_vocabulary.py",
    "tests/website",
)
CHECK_ORIGIN = "import dagster_runs, sys; sys.exit('site-packages' not in dagster_runs.__file__)"
SHOWN = ("dagster", "pydantic", "requests", "urllib3", "aiohttp", "pytest")
SHOW = f"""
import sys
from importlib.metadata import version
print("Python", sys.version.split()[0], *(f"{{name}} {{version(name)}}" for name in {SHOWN}))
"""


def all_environments() -> list[Environment]:
    """Returns the four pairs of ends, and the versions of Python between them with the newest dependencies."""
    first, *between, last = PYTHONS
    pairs = [Environment(python, end) for python in (first, last) for end in get_args(End)]
    return [*pairs, *(Environment(python, "newest") for python in between)]


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--tests", multiple=True, help="Paths of tests, in place of all unit and integration tests.")
@click.option("--workers", default=2, help="The number of processes for the tests.")
def main(names: tuple[str, ...], tests: tuple[str, ...], workers: int) -> None:
    """Runs the tests, and exits with 1 if any fail."""
    known = {environment.name: environment for environment in all_environments()}
    unknown = set(names) - set(known)
    if unknown:
        raise click.UsageError(f"unknown: {', '.join(sorted(unknown))}; the combinations are {', '.join(known)}")
    with TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        failed = [name for name in names or known if not passes(known[name], wheel, tests, workers)]
    sys.exit(1 if failed else 0)


def passes(environment: Environment, wheel: Path, tests: Sequence[str], workers: int) -> bool:
    """Creates an environment, runs the tests there, and returns whether all passed."""
    begun = time.monotonic()
    bare = replace(environment, only_required=True)
    for one in (bare, environment):
        one.create(wheel)
        copy_checkout(one.checkout)
    environment.run("-c", SHOW)
    parallel = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"] if workers > 1 else []
    left_out = [f"--ignore={path}" for path in OF_THE_SOURCE]
    has_passed = (
        bare.run("tests/versions/bare.py") == 0
        and environment.run("-c", CHECK_ORIGIN) == 0
        and environment.run("-m", "pytest", "-q", *parallel, *left_out, *tests) == 0
    )
    click.echo(f"{environment.name}: {'passed' if has_passed else 'FAILED'} in {time.monotonic() - begun:.0f} s")
    return has_passed


if __name__ == "__main__":
    main(prog_name="python -m tests.versions")
