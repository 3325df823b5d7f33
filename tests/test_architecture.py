"""Names in ARCHITECTURE.md, CONTRIBUTING.md and docs/decisions exist, and the layer diagram matches the imports.

In these pages, text in backticks is checked if it is one of:

* a path, either from the repository's root or a suffix that matches only one file or folder: `execution/start.py`,
  `tests/kills/`;
* a path, a colon, and a name that is defined at the top of that file, or in a class there:
  `execution/start.py:start_or_attach`, `execution/ledger.py:Ledger.record`;
* a name alone, with or without a class: `post_once`, `EntryKind.STARTED`. It must be defined anywhere in the package or
  in the tests, be a value there, be Dagster's (`dg.EnvVar`), be the id of a row in docs/, or be in `OUTSIDE`;
* a target of the Makefile: `make check`.

In commands, examples and other text in backticks, only paths of tests are checked.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from tests.test_public_names import ALLOWED_IMPORTS, PACKAGE, imports

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "decisions").glob("*.md")])
FOLDERS = (".ci", ".github", "benchmarks", "dagster_runs", "demo", "docs", "examples", "release", "tests", "website")
OUTSIDE = {"None", "dagster._core", "dg", "log_event", "repr", "tenacity", "urllib3"}
"""Names of other programs and libraries."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"([\w.-]+/)*[\w.-]+(/|\.(py|md|toml|yaml|json))")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\(\))?")
_TESTS = re.compile(r"\btests/[\w./*-]*\w")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ANCHOR = re.compile(r'<a id="([^"]+)">')
_EDGE = re.compile(r"^ *(\w+) --> ([\w &]+)$", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def paths() -> tuple[str, ...]:
    """Returns the paths of all files and folders from the root; folders end with a slash."""
    found = [path for folder in FOLDERS for path in [ROOT / folder, *(ROOT / folder).rglob("*")]]
    found += [path for path in ROOT.iterdir() if path.is_file()]
    kept = (path for path in found if "__pycache__" not in path.parts)
    return tuple(f"{path.relative_to(ROOT).as_posix()}{'/' if path.is_dir() else ''}" for path in kept)


def found_at(path: str) -> list[str]:
    """Returns the files or folders that a path may refer to: the one from the root, or all that end with it."""
    return [path] if path in paths() else [one for one in paths() if one.endswith(f"/{path}")]


def definitions(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
    """Yields the names that statements define: `function`, `CONSTANT`, `Class`, `Class.method`, `Class.field`."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{owner}{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield f"{owner}{node.name}"
            yield from definitions(node.body, f"{owner}{node.name}.")
            # Attributes that a constructor sets.
            for child in ast.walk(node):
                if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
                    yield f"{owner}{node.name}.{child.attr}"
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (child for target in targets for child in ast.walk(target)):
                if isinstance(name, ast.Name):
                    yield f"{owner}{name.id}"
        elif isinstance(node, (ast.If, ast.Try)):
            yield from definitions(node.body + node.orelse, owner)


@cache
def defined_in(path: str) -> frozenset[str]:
    return frozenset(definitions(ast.parse((ROOT / path).read_text()).body))


@cache
def known_names() -> frozenset[str]:
    """Returns names that the package or the tests define, with and without their class; also arguments and values."""
    names = OUTSIDE | {id for page in (ROOT / "docs").glob("*.md") for id in _ANCHOR.findall(page.read_text())}
    for path in paths():
        if not path.endswith(".py") or not path.startswith(("dagster_runs/", "tests/")):
            continue
        for name in defined_in(path):
            names |= {name, name.rpartition(".")[2]}
        if path.startswith("dagster_runs/"):
            names |= set(path.removesuffix(".py").split("/"))
            for node in ast.walk(ast.parse((ROOT / path).read_text())):
                if isinstance(node, ast.arg):
                    names.add(node.arg)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                    names.add(node.value)
    return frozenset(names)


def problem_with(code: str) -> str | None:
    """Returns what is wrong with a text in backticks, or ``None`` if it is valid or not checked."""
    path, colon, name = code.partition(":")
    if _PATH.fullmatch(path) and (not colon or _NAME.fullmatch(name)):
        found = found_at(path)
        if len(found) != 1:
            return f"{path} is {'no path' if not found else f'one of {found}'}"
        return f"{path} does not define {name}" if colon and name not in defined_in(found[0]) else None
    if code.startswith("make "):
        target = code.split()[1]
        return None if f"\n{target}: " in (ROOT / "Makefile").read_text() else f"there is no target {target}"
    if not _NAME.fullmatch(code):
        return None
    bare = code.removesuffix("()")
    is_dagsters = hasattr(dg, bare.removeprefix("dg."))
    return None if is_dagsters or bare in known_names() else f"{code} is defined nowhere"


@each_page
def test_names_in_backticks_exist(page: Path) -> None:
    message = _CODE.findall(_FENCE.sub("", page.read_text()))
    problems = [problem_with(code) for code in message]
    assert [problem for problem in problems if problem is not None] == []


@each_page
def test_test_paths_exist(page: Path) -> None:
    assert [path for path in _TESTS.findall(page.read_text()) if not any(ROOT.glob(path))] == []


def headings(text: str) -> set[str]:
    """Returns the anchors of a page: those that GitHub creates from headings, and explicit ones."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return slugs | set(_ANCHOR.findall(text))


@each_page
def test_link_targets_exist(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target.read_text()), link


def test_layer_diagram_matches_the_import_rules() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    [drawing] = [block for block in _FENCE.findall(text) if "%% layers" in block]
    drawn: dict[str, set[str]] = defaultdict(set)
    for importer, imported in _EDGE.findall(drawing):
        drawn[importer] |= {name.strip() for name in imported.split("&")}
    assert drawn == {room: imported for room, imported in ALLOWED_IMPORTS.items() if imported}


def test_package_folders_are_in_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    package = [path for path in paths() if re.fullmatch(r"dagster_runs/(\w+/){1,2}", path)]
    of_vendors = re.compile(r"dagster_runs/(vendors|sandbox)/\w+/")
    assert [path for path in package if f"`{path}`" not in text and not of_vendors.fullmatch(path)] == []


def test_private_dagster_modules_are_imported_in_one_file() -> None:
    private = ("dagster._", "dagster_shared._")
    importing = [path.name for path in PACKAGE.rglob("*.py") if any(name.startswith(private) for name in imports(path))]
    assert importing == ["dagster_private.py"]


def test_decision_pages_have_all_sections() -> None:
    decisions = [page for page in PAGES if page.parent.name == "decisions" and page.name != "README.md"]
    assert [page.name[:4] for page in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    parts = ("Context", "Decision", "Consequences", "Evidence")
    for page in decisions:
        assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == [*parts], page.name
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [page.name for page in decisions if f"({page.name})" not in index] == []


@pytest.mark.parametrize(
    "code",
    ["execution/no_such_file.py", "execution/start.py:no_such_function", "NoSuchClass", "make nothing", "cursor.py"],
)
def test_missing_names_and_paths_are_reported(code: str) -> None:
    assert problem_with(code) is not None
