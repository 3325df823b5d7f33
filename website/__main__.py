"""`python -m website`: builds the documentation site into `site/`, or says what is wrong and changes nothing there.

`--serve PORT` then serves it. `--can-build` only checks the version of Python.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

NEEDED = (3, 11)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Builds the site. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT", help="serve the site at http://127.0.0.1:PORT/")
    parser.add_argument("--can-build", action="store_true", help="only check the version of Python")
    arguments = parser.parse_args()
    if sys.version_info < NEEDED:
        running = ".".join(map(str, sys.version_info[:3]))
        print(
            f"The documentation is built with Zensical, which needs Python 3.11 or later. This is Python {running}. "
            "The package itself and its tests need only 3.10. Build in an environment of its own, for example: "
            "make docs PYTHON=python3.11 VENV=.venv-docs",
            file=sys.stderr,
        )
        return 1
    if arguments.can_build:
        return 0
    problems = build()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"The site was not built: {len(problems)} problems.", file=sys.stderr)
        return 1
    if arguments.serve:
        serve(arguments.serve)
    return 0


def build() -> list[str]:
    """Builds the site in `build/website` and moves it to `site/` if nothing is wrong. Returns what is wrong."""
    from website import checks, copies, inventory, settings, stage  # these need Python 3.11

    pages, problems = stage.stage()
    if problems:
        return problems
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=settings.STAGE,
        env={**os.environ, "PYTHONPATH": str(settings.ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    output = _COLOR.sub("", done.stdout + done.stderr)
    if done.returncode != 0:
        issues, _, traceback = output.partition("Traceback (most recent call last)")
        # In strict mode, Zensical ends with a traceback of its own after the list of issues.
        return [issues.strip() if "Aborted because --strict" in traceback else issues + traceback]
    if docstrings := [line for line in output.splitlines() if line.startswith("griffe:")]:
        return docstrings  # Zensical does not fail for these
    built = settings.STAGE / "site"
    copies.write(built, pages)
    inventory.name_version(built / "objects.inv")
    problems = checks.problems_of(built)
    if not problems:
        shutil.rmtree(settings.SITE, ignore_errors=True)
        shutil.move(built, settings.SITE)
        print(f"Built {len(pages)} pages into {settings.SITE.relative_to(settings.ROOT)}/.")
    return problems


def serve(port: int) -> None:
    """Serves the site until it is interrupted."""
    from website import settings

    handler = partial(SimpleHTTPRequestHandler, directory=str(settings.SITE))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{port}/ (build again with `make docs` after a change)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    sys.exit(main())
