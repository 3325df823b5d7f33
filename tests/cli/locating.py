"""Helpers for commands that work with definitions which a test builds, in place of loading a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.sandbox import Sandbox
from tests.remote_run.materializing import resources_at


@contextmanager
def location(
    assets: Sequence[Any],
    sandbox: Sandbox | None,
    instance: dg.DagsterInstance,
    *,
    resources: dict[str, Any] | None = None,
    checks: Sequence[Any] = (),
) -> Iterator[CodeLocation]:
    given = resources if resources is not None else resources_at(sandbox.url if sandbox else "")
    repository = dg.Definitions(assets=assets, asset_checks=checks, resources=given).get_repository_def()
    with CodeLocation("shop", repository, instance) as found:
        yield found


def printed_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def without_ids(text: str) -> str:
    """Replaces what differs from run to run: ids, and the port of the sandbox."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8099", text)
