"""`python -m tests.misconfigurations`: makes all mistakes, and writes docs/troubleshooting.md."""

import logging
import tempfile
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing import fast_forward
from tests.misconfigurations.page import PAGE, mistakes, page
from tests.misconfigurations.trying import Mistake, Trial, message_of


def tried(mistake: Mistake, sandbox: Sandbox, instance: dg.DagsterInstance) -> str:
    sandbox.reset()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        return message_of(mistake, Trial(sandbox, instance, patch, Path(folder)))


def main() -> None:
    """Writes the page."""
    logging.disable(logging.CRITICAL)
    with Sandbox() as sandbox, fast_forward(sandbox), dg.DagsterInstance.ephemeral() as instance:
        messages = {one.id: tried(one, sandbox, instance) for one in mistakes()}
    PAGE.write_text(page(messages))
    print(f"{PAGE.name}: {len(messages)} mistakes")


if __name__ == "__main__":
    main()
