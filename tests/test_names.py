"""Names that the package no longer uses, because a standard term replaced each of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dagster_runs

PACKAGE = Path(dagster_runs.__file__).parent
MODULES = {
    "in_flight",
    "watching",
    "waiting",
    "publishing",
    "refusing",
    "published",
    "report",
    "storing",
    "finished",
    "definition",
    "following",
    "life",
    "sending",
    "attaching",
    "recovering",
    "neighbours",
    "ending",
    "gate",
    "judging",
    "reporting",
    "lenient",
    "values",
    "hurry",
    "answers",
    "pacing",
    "paces",
    "sightings",
    "observed_ends",
    "flight",
    "flights",
    "in_asset",
    "behaviour",
    "misbehave",
    "exchange",
    "problems",
    "world",
}
NAMES = {
    "Flight",
    "Flights",
    "Watch",
    "Ends",
    "Pace",
    "Paces",
    "Age",
    "NoStep",
    "Ended",
    "Place",
    "Seen",
    "Sighting",
    "Following",
    "Going",
    "Verdict",
    "FoundRun",
    "Answer",
    "look",
    "tell",
    "rest",
    "hurried",
    "interrupts_held",
    "ask_to_end",
    "confirm_end",
    "time_out",
    "state_of",
    "to_follow",
    "followed",
    "follow",
    "note",
    "changed_for_launch",
    "watched",
    "observable",
    "claim",
    "is_silent",
    "is_unheard",
    "take_over",
    "wants_word",
    "looked_at",
    "answered_at",
    "known_at",
    "told_at",
    "_bear",
    "_bearing",
    "_wonder_at",
    "to_find_lost_starts",
    "where_to_stop",
    "checks_of_failed_runs",
    "private_fields",
    "unsent_fields",
    "cannot_be_observed",
    "retry_helps",
    "may_try_again",
    "permanent",
    "passes",
    "cure",
    "undecided",
    "handed_over",
    "awaited",
    "GOING",
    "NEEDS_STEP",
    "WRITTEN_OFF",
    "CLOCKS_DIFFER",
    "CLOCKS_OF_MACHINES_DIFFER",
    "START_TAKES_AT_MOST",
    "word",
    "_WORDS",
    "begin_run",
    "busiest_second",
    "longest_sleep",
}
PREFIXES = re.compile(r"^_?(MOST|LONGEST|LARGEST|LEAST|SHORTEST|NARROWEST|FEWEST)(_|$)")
BRITISH = re.compile(
    "cancell(?!ation)|(behavi|col|fav|flav|hon|hum|lab|neighb|rum)our|(channel|label|level|model|signal|travel)l(ed|ing)|"
    "(author|categor|custom|final|general|initial|minim|normal|optim|organ|prior[ei]t|random|real|recogn|serial|special|"
    "summar|synchron|token|util|visual)is(e|ing|ation)|analys(ed|ing)|artefact|centre|defence|judgement|learnt|licence|"
    "amongst|whilst|towards|afterwards|grey",
    re.IGNORECASE,
)
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "earlier_names.py")  # which has them on purpose


def defined(tree: ast.AST) -> Iterator[str]:
    """Yields the names of classes, functions, attributes and constants that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, (ast.Name, ast.Attribute))]
            yield from (target.id if isinstance(target, ast.Name) else target.attr for target in targets)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, (ast.Name, ast.Attribute)):
            yield node.target.id if isinstance(node.target, ast.Name) else node.target.attr


def test_modules_have_no_old_names() -> None:
    parts = {part for path in SOURCES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert parts & MODULES == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_definitions_have_no_old_names(path: Path) -> None:
    found = set(defined(ast.parse(path.read_text())))
    assert found & NAMES == set()
    assert [name for name in found if PREFIXES.match(name)] == []
    assert [name for name in found if BRITISH.search(name)] == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class Flight: ...", {"Flight"}),
        ("def look(): ...", {"look"}),
        ("MOST_EVENTS = 1", {"MOST_EVENTS"}),
        ("class A:\n    told_at: float = 0.0", {"A", "told_at"}),
        ("def f(self):\n    self.awaited = 1", {"f", "awaited"}),
    ],
)
def test_defined_returns_the_names_that_a_module_defines(source: str, names: set[str]) -> None:
    assert set(defined(ast.parse(source))) == names
