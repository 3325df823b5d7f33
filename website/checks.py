"""Checks the built site: all its links, anchors and pictures. Zensical checks only the links between pages."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from website import settings

_ATTRIBUTES = {("a", "href"), ("img", "src"), ("link", "href"), ("script", "src"), ("source", "src")}


class _Links(HTMLParser):
    """Collects the anchors of a page, and what it links or shows."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if not value:
                continue
            if name == "id" or (tag, name) == ("a", "name"):
                self.anchors.add(value)
            elif (tag, name) in _ATTRIBUTES:
                self.targets.add(value)


def problems_of(site: Path) -> list[str]:
    """Returns a line for each link or picture of the site that leads nowhere."""
    address = settings.project()["site_url"]
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Links()
        pages[path].feed(path.read_text())
    problems = []
    for path, links in pages.items():
        shown = path.relative_to(site).as_posix()
        # The page of an error 404 is served at any depth, so its addresses begin at the root.
        own_address = address if shown == "404.html" else urljoin(address, shown.removesuffix("index.html"))
        for target in sorted(links.targets):
            parts = urlsplit(urljoin(own_address, target))
            if not parts.geturl().startswith(address):
                continue
            relative = unquote(parts.path)[len(urlsplit(address).path) :]
            file = site / relative / "index.html" if relative.endswith("/") or not relative else site / relative
            if not file.exists():
                problems.append(f"{shown}: {target} does not exist")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                problems.append(f"{shown}: {target} does not exist on that page")
    return problems
