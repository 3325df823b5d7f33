"""Prophecy's messages are Scala values turned into text; this is what people can read of them."""

import re

_MAX_LONGEST = 4_000
_WRAPPER = re.compile(r"\b(?:Success|Failure|Left|Right|Some)\(|\b[\w.$]*(?:Exception|Error)\(")
_CLASS = re.compile(r"\b(?:[\w$]+\.)+[\w$]*(?:Exception|Error):\s+(?!null\b)(?=\S)")
_OF_CLASS = re.compile(r"\s*\(of class [\w.$]+\)")
_BODY_PROBLEM = re.compile(r"\(([^(),]*),List\(JsonValidationError\(List\(([^()]*)\)")
_PERMANENT = re.compile(r"\bnot found\b|JsonValidationError|JsonParseException", re.IGNORECASE)
# The absence of a run's project, fabric or status tells nothing of the run: so the run itself must be what is missed.
_RUN = r"(?<!\bof )(?<!\bof the )\brun(?:\s+with)?(?:\s*u?id)?[\s:='\"`(\[]*(?:{id})?[\s'\"`)\]]*"
_RUN_NOT_FOUND = (
    _RUN + r"(?:(?:was|is|could)\s+)?not\s+(?:be\s+)?found\b",
    _RUN + r"does(?:\s+not|n't)\s+exist\b",
    r"\b(?:cannot|can't|could\s+not|couldn't|unable\s+to)\s+find\s+(?:(?:the|a|any|pipeline)\s+)*"
    + _RUN
    + r"(?=$|[.,;!])",
    r"\bno\s+(?:such\s+)?(?:pipeline\s+)?" + _RUN + r"(?=$|[.,;!]|found\b)",
)


def readable(msg: str) -> str:
    """The part for people: ``text`` of ``Success(Left(a.b.SomeException: text)) (of class scala.util.Success)``."""
    text = _OF_CLASS.sub("", msg[:_MAX_LONGEST])
    problems = _BODY_PROBLEM.findall(text)
    if problems:
        before = text.partition("JsResultException")[0]
        return before + "; ".join(f"{path or 'the body'}: {code}" for path, code in problems)
    while (found := _WRAPPER.search(text)) and (end := _closing(text, found.end())) is not None:
        text = text[: found.start()] + text[found.end() : end] + text[end + 1 :]
    return _CLASS.sub("", text).strip().strip('"') or msg[:_MAX_LONGEST]


def _closing(text: str, begin: int) -> int | None:
    """Where the parenthesis that was opened just before ``begin`` is closed."""
    depth = 1
    for index in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def is_permanent(msg: str) -> bool:
    """Whether the same trigger can only be refused again."""
    return _PERMANENT.search(msg) is not None


def says_run_not_found(msg: str, run_id: str) -> bool:
    """Whether there is no such run. Prophecy documents no words for it, so several ways to say it are known."""
    patterns = (pattern.replace("{id}", re.escape(run_id)) for pattern in _RUN_NOT_FOUND)
    return any(re.search(pattern, msg, re.IGNORECASE) for pattern in patterns)
