"""A pytest plugin: selects the tests that carry the marker `fixes`, and writes their items into the JUnit report."""

from __future__ import annotations

import pytest

PROPERTY = "fixes"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = []
    for item in items:
        fixed = dict.fromkeys(str(mark.args[0]) for mark in item.iter_markers("fixes"))
        item.user_properties += [(PROPERTY, number) for number in fixed]
        if fixed:
            chosen.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
