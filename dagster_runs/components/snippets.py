"""Hides secrets in the lines of a file that an error shows.

Secrets should be in environment variables, but some users write them in the file, and errors reach logs and the UI.
"""

import re

_HIDDEN = "*****"
_FIELD = r"[\"']?\b\w*(?:token|secret|password|api_key)(?!_url)\b[\"']?\s*:"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'"
_SECRET = re.compile(rf"({_FIELD}\s*)({_QUOTED}|[^\s,{{}}\[\]#][^,}}\]#]*|\[[^\]]*\]?)")
_MORE_LINES = re.compile(rf"^(.*?){_FIELD}\s*(?:[|>][-+\d]*)?\s*$")
_CREDENTIALS = re.compile(r"(://)[^\s/@\"']+@")


def without_secrets(snippet: str) -> str:
    """Returns lines of YAML with the literal values of secret fields hidden. Templates stay as they are.

    Args:
        snippet: Lines, each with anything of the same width in front.
    """
    shown: list[str] = []
    hidden_below: int | None = None
    for line in snippet.splitlines():
        more = _MORE_LINES.match(line)
        if hidden_below is not None and (not line.strip() or _indent(line) > hidden_below):
            shown.append(line[: _indent(line)] + _HIDDEN)
            continue
        hidden_below = len(more.group(1)) if more is not None else None
        shown.append(_CREDENTIALS.sub(rf"\1{_HIDDEN}@", _SECRET.sub(_hide, line)))
    return "\n".join(shown)


def _hide(found: "re.Match[str]") -> str:
    return found.group(0) if "{{" in found.group(2) else found.group(1) + _HIDDEN


def _indent(line: str) -> int:
    """Returns where the text of a line begins, behind its number."""
    number = re.match(r"\s*\d*\s*\|?\s*", line)
    return number.end() if number is not None else 0
