"""The kit for authors of vendors: everything holds for a correct run, and each mistake makes its scenario fail."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from time import monotonic
from typing import Any, ClassVar

import pytest
from pydantic import Field

from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import Conclusion, Row, prove_scenario
from dagster_runs.testing.vendor_kit.subject import with_settings
from dagster_runs.vendor_sdk import (
    OptionalNumber,
)
from tests.testing.looms import (
    PATTERN,
    TOKEN,
    LoomResource,
    PlainWeaveRun,
    SimulatedLooms,
    WeaveRun,
)
from tests.testing.mistakes import LostStartIsRefused, StartsRepeatedly, StartsWithItsOwnRetry


class SimpleLooms(SimulatedLooms):
    """Accepts starts at any time."""

    default_settings: ClassVar = {"is_exclusive": False}


NOT_OFFERED_BY_PLAIN_RUN = {
    "partitions",
    "conflict",
    "search_after_lost_start",
    "list_runs",
    "long_list",
    "clock_difference",
    "observation",
    "run_page",
}


class PlainResource(LoomResource):
    """Cannot list runs."""

    def list_runs(self, since: float, until: float | None = None, targets: Collection[str] = ()) -> None:
        return None


@pytest.fixture(scope="module")
def looms() -> Iterator[Sandbox]:
    with Sandbox(vendors=[SimulatedLooms]) as sandbox:
        yield sandbox


def loom_resource(sandbox: Sandbox, kind: type[LoomResource] = LoomResource, **settings: Any) -> LoomResource:
    return kind(token=TOKEN, base_url=f"{sandbox.url}/looms", **settings)


def proved(scenario: str, sandbox: Sandbox, run: type[WeaveRun] = WeaveRun, **options: Any) -> Row:
    resource = loom_resource(sandbox, options.pop("resource", LoomResource))
    return prove_scenario(scenario, run(pattern=PATTERN, customer="Ada"), resource, sandbox, **options)


@pytest.mark.parametrize("scenario", sorted(NOT_OFFERED_BY_PLAIN_RUN))
def test_scenario_holds_for_a_correct_run(looms: Sandbox, scenario: str) -> None:
    # All scenarios are in tests/slow/test_built_in_vendors.py; the example in test_prove_it.py has most others.
    row = proved(scenario, looms)
    assert row.conclusion is Conclusion.HOLDS, str(row)


def test_run_with_only_the_required_methods() -> None:
    names = ("success", "cancel", "timeout", "lost_start", *NOT_OFFERED_BY_PLAIN_RUN)
    with Sandbox(vendors=[SimpleLooms]) as sandbox:
        resource = PlainResource(token=TOKEN, base_url=f"{sandbox.url}/looms")
        rows = {name: prove_scenario(name, PlainWeaveRun(pattern=PATTERN), resource, sandbox) for name in names}
    for row in rows.values():
        row.check()
    not_offered = {row.scenario for row in rows.values() if row.conclusion is Conclusion.NOT_OFFERED}
    assert not_offered == NOT_OFFERED_BY_PLAIN_RUN
    assert "StartOutcomeUnknown" in rows["lost_start"].seen
    assert "cut the thread" in rows["cancel"].seen


class LimitedLooms(SimulatedLooms):
    """Refuses more than one request in a second of real time."""

    default_settings: ClassVar = {"is_exclusive": True, "requests_per_second": 1}


class LimitedResource(LoomResource):
    """Sends one request in a second of real time."""

    requests_per_second: OptionalNumber = Field(default=1.0, gt=0)


def test_rate_limits_do_not_apply_while_time_is_simulated() -> None:
    began = monotonic()
    with Sandbox(vendors=[LimitedLooms]) as sandbox:
        row = proved("poll_server_error", sandbox, resource=LimitedResource)
    assert row.conclusion is Conclusion.HOLDS, str(row)
    # More than 20 requests were sent.
    assert monotonic() - began < 15


def test_kit_keeps_settings_that_are_none(looms: Sandbox) -> None:
    kept = with_settings(loom_resource(looms, LimitedResource, requests_per_second=None), poll_interval=7.0)
    assert kept.requests_per_second is None
    assert kept.poll_interval == 7.0


# --- mistakes of an author. tests/slow/test_vendor_kit_mistakes.py tries all of them.


@pytest.mark.parametrize("scenario", ["lost_start", "start_reset"])
@pytest.mark.parametrize("run", [StartsRepeatedly, StartsWithItsOwnRetry])
def test_second_start_is_counted_or_refused(run: type[WeaveRun], scenario: str) -> None:
    with Sandbox(vendors=[SimpleLooms]) as sandbox:
        row = proved(scenario, sandbox, run)
    assert row.conclusion is Conclusion.FAILS, str(row)


@pytest.mark.parametrize("scenario", ["lost_start", "start_reset"])
def test_lost_start_that_the_author_calls_refused_is_survived(scenario: str, looms: Sandbox) -> None:
    row = proved(scenario, looms, LostStartIsRefused)
    assert row.conclusion is Conclusion.HOLDS, str(row)
