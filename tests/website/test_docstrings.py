"""What the reference shows of a docstring."""

import sys

import pytest

if sys.version_info < (3, 11):
    pytest.skip("Zensical, and so the site, needs Python 3.11", allow_module_level=True)
pytest.importorskip("griffe", reason="part of the extra docs: make docs")

from website.docstrings import as_markdown


def test_public_names_become_links() -> None:
    text = "Like `RunFailed`, not `self`, ``RunFailed`` or `QualityGate`."
    shown = as_markdown(text, own_name="QualityGate")
    assert shown == "Like [`RunFailed`][dagster_runs.RunFailed], not `self`, ``RunFailed`` or `QualityGate`."


def test_blocks_become_markdown() -> None:
    text = "Example:\n    .. code-block:: yaml\n\n        type: x\n        attributes:\n          a: 1\n\n    More.\n"
    assert as_markdown(text) == (
        "Example:\n    ```yaml\n    type: x\n    attributes:\n      a: 1\n    ```\n    More.\n"
    )
