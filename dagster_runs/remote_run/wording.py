"""Helpers for the wording of messages about runs of any vendor."""

import re

_SPOKEN_WITH_VOWEL = frozenset("AEFHILMNORSX")
_LIKE_YOU = re.compile(r"(eu|uni([^n]|$)|us[aei]|ut[aeio]|ub|one\b|once\b)", re.IGNORECASE)


def with_article(words: str) -> str:
    """Returns ``words`` with *a* or *an* in front: ``an Airbyte sync``, ``a dbt job``, ``an SQL job``."""
    first = re.split(r"[^A-Za-z0-9]", words.strip(), maxsplit=1)[0]
    if len(first) > 1 and first.isupper():  # spelled letter by letter
        is_vowel = first[0] in _SPOKEN_WITH_VOWEL
    else:
        is_vowel = first[:1].casefold() in set("aeiou8") and not _LIKE_YOU.match(first)
    return f"{'an' if is_vowel else 'a'} {words}"
