"""Prints the reports that functions return: ``python -m dagster_runs.testing.vendor_kit module:function …``."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from dagster_runs.testing.vendor_kit.results import Report

_USAGE = """usage: python -m dagster_runs.testing.vendor_kit module:function …

Each function takes no arguments, and returns the report of prove_vendor, or a list of reports. They are printed.
The exit status is 1 if a scenario fails, and 2 if a function cannot be called."""


def main(names: Sequence[str]) -> int:
    """Calls the functions, prints their reports, and returns the exit status."""
    if not names or not all(name.partition(":")[2] for name in names):
        print(_USAGE, file=sys.stderr)
        return 2
    sys.path.insert(0, str(Path.cwd()))
    failed: list[Report] = []
    for name in names:
        module, _, function = name.partition(":")
        try:
            found = getattr(import_module(module), function)()
        except (ImportError, AttributeError) as error:
            print(f"{name} cannot be called: {error}", file=sys.stderr)
            return 2
        for report in [found] if isinstance(found, Report) else found:
            print(report, end="\n\n")
            failed += [report] if report.failed else []
    if failed:
        print(f"Scenarios fail for {', '.join(report.title for report in failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
