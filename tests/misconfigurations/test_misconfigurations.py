"""Each mistake has a message that says what is wrong and what to do, and docs/troubleshooting.md shows it."""

import re
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from tests.misconfigurations.page import PAGE, ids_on, mistakes, page, row
from tests.misconfigurations.trying import Mistake, Trial, message_of


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("mistake", mistakes(), ids=lambda mistake: mistake.id)
def test_message_says_what_is_wrong_and_what_to_do(
    mistake: Mistake, sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = message_of(mistake, Trial(sandbox, instance, monkeypatch, tmp_path))
    assert re.search(mistake.wrong, message), message
    assert mistake.note or re.search(mistake.advice, message), message
    assert row(mistake, message) in PAGE.read_text().splitlines(), "run `make conformance`"
    assert not any(sandbox.starts(vendor) for vendor in ("rudderstack", "segmentflow", "testgen"))


def test_page_has_each_mistake_once() -> None:
    assert ids_on(PAGE.read_text()) == [mistake.id for mistake in mistakes()]
    assert len(mistakes()) >= 40
    assert max(Counter(mistake.id for mistake in mistakes()).values()) == 1


def test_rest_of_the_page_is_up_to_date() -> None:
    without_rows = [line for line in PAGE.read_text().splitlines() if not line.startswith('| <a id="')]
    generated = page({mistake.id: "" for mistake in mistakes()}).splitlines()
    assert without_rows == [line for line in generated if not line.startswith('| <a id="')], "run `make conformance`"
