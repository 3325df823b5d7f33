"""The components in YAML on all pages load. Those of docs/components.md are in tests/components/test_docs.py."""

import os
import re

import pytest

from tests.components.conftest import project, variables  # noqa: F401 - fixtures
from tests.components.projects import Project
from tests.components.test_docs import COMPONENT_YAML, check


@pytest.mark.parametrize("text", [one for one in COMPONENT_YAML if not str(one.id).startswith("docs/components.md")])
def test_components_load(
    project: Project,  # noqa: F811
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in re.findall(r"\benv\.(\w+)", text):
        monkeypatch.setenv(name, os.environ.get(name, "x"))
    check(project, text)
