"""Extracts the readable text from Prophecy's messages, which are Scala values converted to strings."""

import re

_MAX_MESSAGE_LENGTH = 4_000
_WRAPPER = re.compile(r"\b(?:Success|Failure|Left|Right|Some)\(|\b[\w.$]*(?:Exception|Error)\(")
_CLASS = re.compile(r"\b(?:[\w$]+\.)+[\w$]*(?:Exception|Error):\s+(?!null\b)(?=\S)")
_OF_CLASS = re.compile(r"\s*\(of class [\w.$]+\)")
_BODY_PROBLEM = re.compile(r"\(([^(),]*),List\(JsonValidationError\(List\(([^()]*)\)")
_PERMANENT = re.compile(r"\bnot found\b|JsonValidationError|JsonParseException", re.IGNORECASE)
# A missing project, fabric or status says nothing about the run: the message must say that the run itself is missing.
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
    """Returns readable text: ``text`` of ``Success(Left(a.b.SomeException: text)) (of class scala.util.Success)``."""
    text = _OF_CLASS.sub("", msg[:_MAX_MESSAGE_LENGTH])
    problems = _BODY_PROBLEM.findall(text)
    if problems:
        before = text.partition("JsResultException")[0]
        return before + "; ".join(f"{path or 'the body'}: {code}" for path, code in problems)
    while (found := _WRAPPER.search(text)) and (end := _closing(text, found.end())) is not None:
        text = text[: found.start()] + text[found.end() : end] + text[end + 1 :]
    return _CLASS.sub("", text).strip().strip('"') or msg[:_MAX_MESSAGE_LENGTH]


def _closing(text: str, begin: int) -> int | None:
    """Returns the index of the parenthesis that closes the one opened just before ``begin``."""
    depth = 1
    for index in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None


def is_permanent(msg: str) -> bool:
    """Whether Prophecy would refuse the same trigger again."""
    return _PERMANENT.search(msg) is not None


def says_run_not_found(msg: str, run_id: str) -> bool:
    """Whether the message says that the run does not exist.

    Prophecy does not document the wording, so this recognizes several.
    """
    patterns = (pattern.replace("{id}", re.escape(run_id)) for pattern in _RUN_NOT_FOUND)
    return any(re.search(pattern, msg, re.IGNORECASE) for pattern in patterns)
