"""The names of checks, which Dagster restricts, and which must not change when other checks are added."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Literal

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTest

Granularity = Literal["table", "column", "test_type", "test"]
_DIGEST = 8


def key_problem(key: dg.AssetKey, others: Iterable[dg.AssetKey]) -> str | None:
    """Returns why an asset cannot have checks in the same op as others; ``None`` if it can.

    Dagster makes the name of a check's output from the key. It allows only some characters in it, and drops a check
    silently if another one has the same name.

    Args:
        key: The key of the asset.
        others: The keys of all assets with checks. It may contain the asset itself.
    """
    name = key.to_python_identifier()
    if re.fullmatch(r"[A-Za-z0-9_]+", name) is None:
        return (
            f"the asset {key.to_user_string()} has a key that Dagster does not allow for checks. It may contain only "
            "letters, digits, '_', '-' and '.'. Map the table to another asset, or leave it out"
        )
    for other in others:
        if other != key and other.to_python_identifier() == name:
            return (
                f"Dagster cannot distinguish its checks from those of {other.to_user_string()}, since both are named "
                f"{name}_... Map one of their tables to another asset, or leave it out"
            )
    return None


def subject_of(test: SuiteTest, level: Granularity) -> str:
    """Returns what a check of a level covers: the column, the type or the id of a test; empty for a table."""
    value = {"column": test.column, "test_type": test.test_type, "test": test.test_id, "table": ""}[level] or ""
    return value.casefold() if level in ("test", "test_type") else value


def check_name(test: SuiteTest, granularity: Granularity, prefix: str) -> str:
    """Returns the name of the check that a test belongs to, which may not be unique yet."""
    test_type = (test.test_type or "test").lower()
    if granularity == "column":
        parts = [test.column]
    elif granularity == "test_type":
        parts = [test_type]
    else:
        parts = [test_type, test.column, (test.test_id or "").replace("-", "").lower()[:_DIGEST]]
    return "__".join([prefix, *(_legal(part) for part in parts if part)])


def _legal(text: str) -> str:
    """Returns a text with only the characters that Dagster allows in the name of a check."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def unique_names(names: Mapping[str, str], granularity: Granularity, *, taken: Collection[str]) -> dict[str, str]:
    """Returns the names, with a digest of their subject where it is needed.

    A name that had to be changed to be legal always gets one. Otherwise the check of the column ``order id`` would get
    another name, and its history would belong to another check, when a column ``order_id`` is added.

    Args:
        names: The name of each subject.
        granularity: What a subject is. Names of single tests have a part of the test's id anyway.
        taken: Names that are not available.
    """
    times = Counter(names.values())

    def is_own(subject: str, name: str) -> bool:
        if name in taken:
            return False
        is_unchanged = granularity == "test" or _legal(subject) == subject
        return name.endswith(f"__{subject}") or (times[name] == 1 and is_unchanged)

    return {
        subject: name if is_own(subject, name) else f"{name}__{sha256(subject.encode()).hexdigest()[:_DIGEST]}"
        for subject, name in names.items()
    }
