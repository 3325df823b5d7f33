"""Vocabulary of docstrings, comments, messages and pages: one term for each thing, in US English.

``WORDS`` lists expressions to avoid, and their replacements. Code, names and link targets are not checked:
text in backticks is ignored, and so are the names of arguments and tests.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.test_names import BRITISH

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "dagster_runs", "demo", "examples", "release", "website")
SOURCES = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

COMPARATIVES = "longer|more|less|later|earlier|larger|smaller|older|newer|better|worse|different"
# Regular expression (a space also matches a line break), what to write instead, a text that has it, one that has not.
WORDS = [
    ("look(s|ed|ing)?(?!( it| them)? up| like)", "poll, search, read, appear", "a look at it", "looks it up"),
    ("going", "active; continue", "the run is going", "the run is active"),
    ("tell(s|ing)?|told", "report, log, say; distinguish", "it tells the end", "it reports the outcome"),
    ("word(?! order)|(unknown|final|vendor) words", "status", "the unknown word", "in the vendor's words"),
    ("answer(s|ed|ing)?", "response, respond; result", "the answer was lost", "the response was lost"),
    ("hurr(y|ies|ied|ying)", "call budget, short timeout", "in a hurry", "with a call budget"),
    ("(?<!release )notes|noted|noting|note (that|the|it|an?)", "record, write", "it notes the id", "release notes"),
    ("cur(e|es|ed|ing)", "fix", "a retry cannot cure it", "a secure URL"),
    ("(?<!in )(?<!in-)flights?", "deferred run, active run", "each flight is polled", "in flight; in-flight runs"),
    ("(any|every|no|some)body", "no one, a user; or say who", "nobody is told", "a body without JSON"),
    ("whatever", "any, no matter what; or list it", "whatever it is", "any value"),
    ("all the same", "anyway, still", "it starts all the same", "all the runs have the same id"),
    ("stand(s|ing)?[- ]?ins?|stood in", "simulated server; use in place of", "a stand-in", "a standing rule"),
    ("belongs? into", "belong in; pass as", "secrets belong into it", "secrets belong in it"),
    ("as such", "say what it is", "known as such", "known as a lost start"),
    ("hence|thereby|therein|thereof|thus|whereby|wherein", "so, because, in which", "hence the limit", "so it waits"),
    ("by hand", "manually", "written by hand", "written by the other hand"),
    ("besides?", "next to, in addition to, compared with", "a run beside it", "in addition to it"),
    ("tak(e|es|en|ing) (it |them )?for(?! granted)", "mistake for, treat as", "taken for ours", "taken from the list"),
    (f"(?<!there )(is|are|was|were) no(?! ({COMPARATIVES}))", "is not a", "it is no run", "there is no run"),
    ("(go|goes|went|gone) on", "continue; is still active", "the run goes on", "the run continues"),
    (r"(is|are|was|were|been) over(?! \d)", "has ended", "the run is over", "the size is over 5 MB"),
    ("publish(es|ing)?|(is|are|was|were|been?) published", "report", "it publishes the end", "a published pipeline"),
    (r"hand(s|ed|ing)? (\w+ )?over", "pass, record, report", "handed over to it", "an overhanded change"),
    ("wr(ites?|iting|ote|itten) off", "mark as failed", "it was written off", "it was written officially"),
    ("(un)?heard", "response, status", "nothing was heard of it", "no response arrived"),
    ("sightings?", "pending run", "a sighting", "a citing page"),
    ("strangers?", "a run that Dagster did not start", "a stranger's run", "a strange status"),
    ("in spite of", "despite", "in spite of retries", "despite retries"),
    ("amid", "while, during", "runs amid kills", "a pyramid"),
    ("ought|shall", "must, should, will", "it shall wait", "a shallow copy"),
    ("com(e|es|ing) into question", "are candidates", "tags come into question", "it came into use"),
    ("(a|the) user's own|one's own", "your own, user-defined", "an asset of one's own", "an asset of your own"),
    ("(^|(?<=[.:;|] ))(?-i:Of)(?! course)", "write it after its noun", "tags: Of the sensor", "tags of the sensor"),
    ("terminal (state|status)", "final state", "in a terminal state", "in the terminal"),
    ("wait(s|ed|ing)? on", "keep waiting; wait for", "it waits on", "it waits for one"),
    ("anew|for ever|once more", "again; forever", "it starts anew", "it starts again"),
    ("by (itself|themselves)", "individually, on its own", "polled by itself", "it shows itself"),
    ("pac(e|es|ing)", "poll schedule, interval", "a fixed pace", "a fixed space"),
    ("bears?|borne|bearing", "tolerate", "errors are borne", "a bearer token"),
    ("troubles?", "error, outage", "the trouble begins", "see Troubleshooting"),
    ("await(s|ed)", "pending; wait for", "awaited runs", "await the call"),
    ("anyhow|for want of|lest", "anyway; without; so that … not", "it fails anyhow", "the oldest run"),
    (rf"\w*({BRITISH.pattern})\w*", "the US spelling", "the behaviour was cancelled", "the cancellation"),
]
RULES = [
    (re.compile(rf"\b({pattern})\b".replace(" ", r"\s"), re.IGNORECASE | re.MULTILINE), use)
    for pattern, use, *_ in WORDS
]

# Names in stored or reported data.
ALLOWED = {
    # As earlier versions wrote them: a kind of ledger entry, and a field of the observation sensor's cursor.
    ("dagster_runs/remote_run/execution/ledger_entry.py", "cancelling"),
    ("dagster_runs/sensors/observation/cursor.py", "awaited"),
    # The earlier spelling of an argument, which still works.
    ("dagster_runs/sandbox/client.py", "behaviour"),
    # Statuses of Airbyte and dbt Cloud.
    ("examples/airbyte_syncs.py", "cancelled"),
    ("examples/stand_ins/airbyte.py", "cancelled"),
    ("examples/stand_ins/dbt_cloud.py", "Cancelled"),
}

NOT_PROSE = re.compile(
    r"""
    ^\ *```.*?^\ *```                            # a block of code
    | (`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`)      # code in a sentence
    | \[[^]]*\]\([^)\s]*\btests/[^)]*\)          # a link to a test, with its name
    | (?<=\])\([^)\s]*\) | <[^>\n]+> | https?://\S+
    | ^\ {4,}\w+:(?=\ )                          # the name of an argument or attribute
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


class Finding(NamedTuple):
    """An expression that the package avoids, and its replacement."""

    line: int
    found: str
    use: str


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the texts of a file, each with the number of its first line."""
    source = path.read_text()
    if path.suffix == ".md":
        yield 1, source
        return
    comments = [""] * (source.count("\n") + 2)  # one text, so that a phrase may continue on the next line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0] - 1] = token.string.lstrip("#: ")
    yield 1, "\n".join(comments)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def found_in(text: str, first_line: int = 1) -> Iterator[Finding]:
    prose = NOT_PROSE.sub(lambda match: "`" + "\n" * match.group().count("\n"), text)
    prose = re.sub(r"[ \t]*\n[ \t]*", "\n", prose)
    for pattern, use in RULES:
        for match in pattern.finditer(prose):
            yield Finding(first_line + prose.count("\n", 0, match.start()), " ".join(match.group().split()), use)


def findings(path: Path) -> list[Finding]:
    return sorted(finding for line, text in texts(path) for finding in found_in(text, line))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sorted(SOURCES + PAGES), ids=name)
def test_texts_contain_no_listed_words(path: Path) -> None:
    wrong = [finding for finding in findings(path) if (name(path), finding.found) not in ALLOWED]
    if wrong:
        lines = (f"{name(path)}:{line}: {found!r}; write: {use}" for line, found, use in wrong)
        pytest.fail("\n".join(lines), pytrace=False)


def test_exceptions_are_still_needed() -> None:
    assert {(path, finding.found) for path, _ in ALLOWED for finding in findings(ROOT / path)} >= ALLOWED


@pytest.mark.parametrize(("use", "bad", "good"), [row[1:] for row in WORDS])
def test_each_pattern_matches_its_example_only(use: str, bad: str, good: str) -> None:
    assert use in [finding.use for finding in found_in(bad)]
    assert list(found_in(good)) == []


def test_findings_have_line_numbers(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""Begins.\n\n    Args:\n        answer: The answer.\n\n    ``answer`` `word`\n    """\n'
        "x = 1  # all the\n# same\nanswer = f'{x} nobody'\n"
    )
    assert [(line, found) for line, found, _ in findings(source)] == [
        (4, "answer"),
        (8, "all the same"),
        (10, "nobody"),
    ]


def test_code_and_links_on_pages_are_ignored(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```\nanswer\n```\n`look` [all the\nsame](#an-answer) <a id='word'> [told](../tests/test_it.py)\n\nhttps://x/word\n"
    )
    assert [(line, found) for line, found, _ in findings(page)] == [(4, "all the same")]
