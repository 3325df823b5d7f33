"""Writes each page as Markdown next to its HTML, and `llms.txt`, which lists them. Language models read these."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from website import settings
from website.settings import Page

_TAB = re.compile(r"^/// tab \| ([^\n]+)\n(.*?)^///$", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"\n +\(([^()]*(?:\([^()]*\)[^()]*)*)\)\n +–\n\n +")
"""The type and default of a parameter, in lines of their own."""
_SUMMARY_LENGTH = 200


def write(site: Path, pages: list[Page]) -> None:
    """Writes the copies, links them in the pages' HTML, and writes `llms.txt`."""
    project = settings.project()
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}"]
    for section, in_section in groupby(pages, key=lambda page: page.section):
        lines += ["", f"## {section or 'Start'}", ""]
        for page in in_section:
            text = as_markdown(page, site)
            (site / page.path).parent.mkdir(parents=True, exist_ok=True)
            (site / page.path).write_text(text)
            address = urljoin(project["site_url"], page.path)
            _link(html_file(page, site), address)
            lines.append(f"- [{page.title}]({address}): {summary(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n")


def html_file(page: Page, site: Path) -> Path:
    """Returns the HTML file of a page."""
    path = Path(page.path)
    if path.stem in ("index", "README"):
        return site / path.parent / "index.html"
    return site / path.with_suffix("") / "index.html"


def as_markdown(page: Page, site: Path) -> str:
    """Returns a page as plain Markdown: tabs become paragraphs, and references to docstrings become their text."""
    text = (settings.STAGE / "docs" / page.path).read_text()
    if re.search(r"^::: ", text, re.MULTILINE):
        from bs4 import BeautifulSoup
        from markdownify import markdownify

        article = BeautifulSoup(html_file(page, site).read_text(), "html.parser").article
        for unwanted in article.select("a.headerlink, a.md-content__button, button, .doc-labels, .linenos, nav"):
            unwanted.decompose()
        markdown = markdownify(
            str(article), heading_style="ATX", code_language_callback=_language, escape_underscores=False
        )
        return _PARAMETER.sub(lambda found: f" ({' '.join(found[1].split())}) – ", markdown).strip() + "\n"
    return _TAB.sub(lambda tab: f"**{tab[1]}**\n{tab[2]}", text)


def summary(text: str) -> str:
    """Returns the first sentence of a page."""
    without_comments = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    paragraphs = [one.strip() for one in re.split(r"\n\s*\n", without_comments)]
    first = next(one for one in paragraphs if one and not one.startswith(("#", "!", "*", "|", "`", "[", "/")))
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(first.split()))
    sentence = re.split(r"(?<=[.:?!])\s", plain)[0]
    return sentence if len(sentence) <= _SUMMARY_LENGTH else sentence[: _SUMMARY_LENGTH - 1] + "…"


def _language(block: Any) -> str:
    """Returns the language of a highlighted block of code."""
    classes = (name for parent in block.parents for name in parent.get("class") or ())
    return next((name.removeprefix("language-") for name in classes if name.startswith("language-")), "")


def _link(html: Path, address: str) -> None:
    link = f'<link rel="alternate" type="text/markdown" href="{address}">'
    html.write_text(html.read_text().replace("</head>", f"{link}</head>", 1))
