"""`python -m release`: checks the distributions in `dist/`, the changelog and the workflows.

`--tag v0.1.0` also checks that the tag is the version's, and that the changelog has a section for it.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from release.distributions import PACKAGE, ROOT, problems_of_sdist, problems_of_wheel, version

SCHEMAS = {
    ".github/workflows/*.yml": "vendor.github-workflows",
    ".github/ISSUE_TEMPLATE/[!c]*.yml": "vendor.github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
    ".github/dependabot.yml": "vendor.dependabot",
}


def main() -> int:
    """Prints all problems. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="the tag of the release")
    tag = parser.parse_args().tag
    problems = [*problems_of_files(ROOT / "dist"), *problems_of_tag(tag), *problems_of_workflows()]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"The distributions of version {version()} are complete.")
    return 1 if problems else 0


def problems_of_files(folder: Path) -> Iterator[str]:
    """Yields what is wrong with the files in `dist/`."""
    wheel = folder / f"{PACKAGE}-{version()}-py3-none-any.whl"
    sdist = folder / f"{PACKAGE}-{version()}.tar.gz"
    if {*folder.iterdir()} != {wheel, sdist}:
        yield f"{folder.name}/ has {sorted(path.name for path in folder.iterdir())}, not {wheel.name} and {sdist.name}"
        return
    yield from (f"{wheel.name}: {problem}" for problem in problems_of_wheel(wheel))
    yield from (f"{sdist.name}: {problem}" for problem in problems_of_sdist(sdist))
    for command in (["twine", "check", "--strict", wheel, sdist], ["check_wheel_contents", wheel]):
        yield from _problems_of(*command)


def problems_of_tag(tag: str | None) -> Iterator[str]:
    """Yields what is wrong with the version, its tag and the changelog."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## (.+)$", changes, re.MULTILINE)
    if tag:
        if tag != f"v{version()}":
            yield f"the tag is {tag}, and the version in {PACKAGE}/version.py is {version()}"
        if not re.fullmatch(rf"{re.escape(version())} - \d{{4}}-\d\d-\d\d", sections[0]):
            yield f"CHANGELOG.md begins with the section {sections[0]!r}, not with '{version()} - <date>'"
    elif not sections[0].startswith(("Unreleased", version())):
        yield f"CHANGELOG.md begins with the section {sections[0]!r}, which is neither 'Unreleased' nor {version()}"


def problems_of_workflows() -> Iterator[str]:
    """Yields what is wrong with the files of GitHub."""
    for pattern, schema in SCHEMAS.items():
        yield from _problems_of("check_jsonschema", "--builtin-schema", schema, *sorted(ROOT.glob(pattern)))
    zizmor = Path(sys.executable).parent / "zizmor"
    yield from _problems([zizmor, "--offline", "--quiet", "--no-progress", ROOT / ".github"])


def _problems_of(module: str, *arguments: str | Path) -> Iterator[str]:
    return _problems([sys.executable, "-m", module, *arguments])


def _problems(command: list[str | Path]) -> Iterator[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield (done.stdout + done.stderr).strip()


if __name__ == "__main__":
    sys.exit(main())
