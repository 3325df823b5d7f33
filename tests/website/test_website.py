"""The site's pages, links and copies. `make docs` builds the site itself."""

import re
import sys
from pathlib import Path

import pytest

import dagster_runs
from tests.doc_blocks import DOCS, ROOT

if sys.version_info < (3, 11):
    pytest.skip("Zensical, and so the site, needs Python 3.11", allow_module_level=True)

from website import checks, copies, settings, stage
from website.settings import Page

PYPROJECT = (ROOT / "pyproject.toml").read_text()


def test_every_page_is_in_the_navigation_once() -> None:
    paths = [page.path for page in settings.navigation()]
    assert sorted(paths) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_page_outside_the_navigation_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Start\n[source](../zensical.toml) [gone](../gone.py)\n")
    (docs / "forgotten.md").write_text("# Forgotten\n")
    (tmp_path / "zensical.toml").write_text(
        '[project]\nrepo_url = "https://example.com/r"\nnav = [{"Start" = "index.md"}, {"New" = "new.md"}]\n'
    )
    for name, value in {"ROOT": tmp_path, "DOCS": docs, "STAGE": tmp_path / "stage"}.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(settings, "CONFIG", tmp_path / "zensical.toml")
    _, problems = stage.stage()
    assert problems == [
        "zensical.toml: docs/new.md is in the navigation, but does not exist",
        "zensical.toml: docs/forgotten.md is not in the navigation",
        "docs/index.md: the link ../gone.py leads to no file of the repository",
    ]
    staged = (tmp_path / "stage" / "docs" / "index.md").read_text()
    assert "[source](https://example.com/r/blob/main/zensical.toml)" in staged


def test_links_in_blocks_of_code_stay() -> None:
    text = "```\n[a](../README.md)\n```\n[b](../README.md#quickstart) [c](reference.md)\n"
    changed, dead = stage.with_repository_links(text, DOCS / "index.md")
    address = settings.repository_file("README.md")
    assert changed == f"```\n[a](../README.md)\n```\n[b]({address}#quickstart) [c](reference.md)\n"
    assert dead == []


def test_content_of_items_is_indented_by_four_spaces() -> None:
    text = "1. One:\n\n   ```\n   code\n   ```\n2. Two\n   continues\n3. Three\n\n* a\n  * b\n\nText\n  stays\n"
    assert stage.with_indented_items(text) == (
        "1. One:\n\n    ```\n    code\n    ```\n\n2. Two\n    continues\n3. Three\n\n* a\n    * b\n\nText\n  stays\n"
    )


def test_missing_picture_link_and_anchor_are_problems(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "there.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(
        '<h1 id="top"></h1><img src="there.png"><img src="gone.png"><a href="page/">p</a><a href="page/#gone">q</a>'
    )
    (tmp_path / "page" / "index.html").write_text('<a href="../#top">t</a><a href="../other/">o</a><a href="x:y">z</a>')
    assert checks.problems_of(tmp_path) == [
        "index.html: gone.png does not exist",
        "index.html: page/#gone does not exist on that page",
        "page/index.html: ../other/ does not exist",
    ]


def test_copies_have_paragraphs_in_place_of_tabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STAGE", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\n/// tab | Python\n\nx = 1\n\n///\n")
    assert copies.as_markdown(Page("", "A", "a.md"), tmp_path) == "# A\n\n**Python**\n\nx = 1\n\n\n"


def test_summary_is_the_first_sentence() -> None:
    text = "<!-- Generated.\n-->\n\n# Title\n\n![picture](a.png)\n\n* a list\n\nSee [this\npage](b.md). More.\n"
    assert copies.summary(text) == "See this page."


def test_reference_has_every_public_name_once() -> None:
    pages = [page.read_text() for page in sorted((DOCS / "api").glob("*.md"))]
    named = [name for page in pages for name in re.findall(r"^::: dagster_runs\.(\w+)$", page, re.MULTILINE)]
    # `RemoteRun` is on the page of the SDK.
    assert sorted([*named, "RemoteRun"]) == sorted([*dagster_runs.__all__, "vendor_sdk"])
    assert settings.public_names() == set(dagster_runs.__all__)
    assert settings.version() == dagster_runs.__version__


def test_addresses_are_the_same_everywhere() -> None:
    project = settings.project()
    assert f'Repository = "{project["repo_url"]}"\n' in PYPROJECT
    assert f'Documentation = "{project["site_url"]}"\n' in PYPROJECT
    repository = project["repo_url"].removeprefix("https://github.com/")
    pattern = re.compile(r"(?:github\.com|raw\.githubusercontent\.com)/([\w-]+/[\w-]+)")
    for path in (ROOT / "pyproject.toml", ROOT / "zensical.toml", ROOT / "SECURITY.md", *ROOT.glob(".github/**/*.yml")):
        assert set(pattern.findall(path.read_text())) <= {repository}, path
