"""Copies `docs/` to where Zensical reads it, and changes in the copy what GitHub and Zensical read differently.

* On GitHub, pages link files outside `docs/`, such as tests. The site does not have these, so such links lead to the
  repository.
* On GitHub, what belongs to an item of a list is indented like the item's text. Zensical needs four spaces.
"""

import re
import shutil
from pathlib import Path

from website import settings
from website.settings import Page

_BLOCK = re.compile(r"^ *(`{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"(?:\d+\.|[*-]) +(?=\S)")
_INDENT = 4
_LINK = re.compile(r"(?<=\]\()(?P<target>\.\./[^()\s]+)(?=\))")


def stage() -> tuple[list[Page], list[str]]:
    """Writes the copy. Returns the pages, and what is wrong: pages that are missing, or not in the navigation."""
    pages = settings.navigation()
    named = [page.path for page in pages]
    files = {path.relative_to(settings.DOCS).as_posix() for path in settings.DOCS.rglob("*.md")}
    problems = [
        *(f"zensical.toml: {path} is in the navigation twice" for path in sorted({*named}) if named.count(path) > 1),
        *(f"zensical.toml: docs/{path} is in the navigation, but does not exist" for path in sorted({*named} - files)),
        *(f"zensical.toml: docs/{path} is not in the navigation" for path in sorted(files - {*named})),
    ]
    shutil.rmtree(settings.STAGE, ignore_errors=True)
    shutil.copytree(settings.DOCS, settings.STAGE / "docs")
    for path in sorted(files):
        text, dead = with_repository_links((settings.DOCS / path).read_text(), settings.DOCS / path)
        (settings.STAGE / "docs" / path).write_text(with_indented_items(text))
        problems += [f"docs/{path}: the link {link} leads to no file of the repository" for link in dead]
    config = settings.CONFIG.read_text().replace('paths = ["."]', f'paths = ["{settings.ROOT}"]')
    (settings.STAGE / "zensical.toml").write_text(config)
    return pages, problems


def with_repository_links(text: str, page: Path) -> tuple[str, list[str]]:
    """Returns the text of a page with links to the repository, and the links among them that lead nowhere."""
    dead: list[str] = []

    def in_repository(found: re.Match[str]) -> str:
        path, _, anchor = found["target"].partition("#")
        file = (page.parent / path).resolve()
        if file.is_relative_to(settings.DOCS):
            return found["target"]
        if not file.exists() or not file.is_relative_to(settings.ROOT):
            dead.append(found["target"])
            return found["target"]
        address = settings.repository_file(file.relative_to(settings.ROOT).as_posix())
        return f"{address}#{anchor}" if anchor else address

    parts, end = [], 0
    for block in _BLOCK.finditer(text):
        parts += [_LINK.sub(in_repository, text[end : block.start()]), block.group()]
        end = block.end()
    return "".join([*parts, _LINK.sub(in_repository, text[end:])]), dead


def with_indented_items(text: str) -> str:
    """Returns the text of a page in which the content of each item of a list is indented by four spaces."""
    lines: list[str] = []
    indent, fence, has_paragraphs = 0, "", False
    for line in text.split("\n"):
        marker = None if fence else _ITEM.match(line)
        if marker is not None:
            # Otherwise, Zensical would add the next item to the last paragraph of this one.
            lines += [""] if indent and has_paragraphs and lines[-1] else []
            indent, has_paragraphs = len(marker.group()), False
        elif line.strip() and len(line) - len(line.lstrip()) < indent:
            indent = 0
        has_paragraphs |= not line.strip()
        begun = re.match(r" *(`{3,})", line)
        if begun and (not fence or begun[1] == fence):
            fence = "" if fence else begun[1]
        nested = indent and marker is None and line.strip()
        lines.append(" " * (_INDENT - indent) + line if nested else line)
    return "\n".join(lines)
