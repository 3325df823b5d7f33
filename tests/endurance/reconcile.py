"""Whether each deferred run was started once, and its end told once and truly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.endurance.facts import Alert, Facts, Planned, Publishing, RemoteRun

RUN_STATUS = "run_status"
CATEGORIES = (
    "not started",
    "second remote run",
    "lost",
    "told twice",
    "told wrongly",
    "check missing",
    "check twice",
    "without the vendor's words",
    "alert missing",
    "alert twice",
)
_KILLED_MEANWHILE = 60.0
"""Seconds before a kill in which an alert may have fired whose tick was not stored: Dagster fires it again."""


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    category: str
    text: str


def reconcile(facts: Facts) -> list[Finding]:
    """All that must not be."""
    return [*_runs(facts), *_checks(facts), *_alerts(facts)]


def _runs(facts: Facts) -> Iterator[Finding]:
    remote: dict[str, list[RemoteRun]] = defaultdict(list)
    for run in facts.remote_runs:
        remote[run.target].append(run)
    materialized = Counter((one.place, one.run_id) for one in facts.materialized)
    of_place = Counter(one.place for one in facts.materialized)
    publishing: dict[str, list[Publishing]] = defaultdict(list)
    for one in facts.publishing:
        publishing[one.run_id].append(one)
    for planned in facts.planned:
        runs = remote[planned.target]
        if not runs:
            yield Finding("not started", f"{planned.place}")
            continue
        if len(runs) > 1:
            yield Finding("second remote run", f"{planned.place}: {[run.run_id for run in runs]}")
        run = runs[0]
        good, bad = materialized[planned.place, run.run_id], publishing[run.run_id]
        if of_place[planned.place] > good:
            yield Finding("told wrongly", f"{planned.place}: a materialization reports another run than {run.run_id}")
        yield from _told(planned, run, good, bad)


def _told(planned: Planned, run: RemoteRun, good: int, bad: list[Publishing]) -> Iterator[Finding]:
    what = f"{planned.place}, {run.run_id} ({run.outcome})"
    bad = [one for one in bad if one.began]
    failed = [one for one in bad if one.failed]
    if not good and not failed:
        yield Finding("lost", f"{what}: {len(bad)} Dagster runs were to tell its end")
        return
    if good + len(bad) > 1:
        yield Finding("told twice", f"{what}: {good} materializations, {len(bad)} Dagster runs")
    if bool(good) != (run.outcome == "succeeded"):
        yield Finding("told wrongly", f"{what}: {good} materializations, {len(bad)} Dagster runs")
        return
    for one in failed:
        if planned.expected not in one.said:
            yield Finding("without the vendor's words", f"{what}: {planned.expected!r} is not in {one.said[-300:]!r}")


def _checks(facts: Facts) -> Iterator[Finding]:
    told = Counter((one.check, one.run_id) for one in facts.evaluated if one.check[1] == RUN_STATUS)
    reported = {(one.place[0], one.run_id) for one in facts.materialized}
    # What has not ended has no status to check.
    ending = {planned.place for planned in facts.planned if planned.ends}
    reported |= {
        (one.place[0], one.run_id) for one in facts.publishing if one.failed and one.began and one.place in ending
    }
    for asset, run_id in sorted(reported, key=str):
        times = told[(asset, RUN_STATUS), run_id]
        if times != 1:
            category = "check twice" if times > 1 else "check missing"
            yield Finding(category, f"{RUN_STATUS} of {asset}, {run_id}: {times} evaluations")
    # The others do not name the run.
    by_sensor = Counter(one.check for one in facts.evaluated if not one.dagster_run)
    good = Counter(asset for asset, _ in {(one.place[0], one.run_id) for one in facts.materialized})
    for asset, name in facts.checks:
        times = by_sensor[asset, name]
        if name != RUN_STATUS and times != good[asset]:
            category = "check twice" if times > good[asset] else "check missing"
            yield Finding(category, f"{name} of {asset}: {times} evaluations for {good[asset]} good runs")


def _alerts(facts: Facts) -> Iterator[Finding]:
    fired: dict[str, list[Alert]] = defaultdict(list)
    for alert in facts.alerts:
        fired[alert.dagster_run].append(alert)
    for one in facts.publishing:
        if one.failed and not fired[one.dagster_run]:
            yield Finding("alert missing", f"of {one.place}, Dagster run {one.dagster_run}")
    for dagster_run, alerts in fired.items():
        again = [
            alert for alert in alerts[:-1] if not any(0 <= kill - alert.at <= _KILLED_MEANWHILE for kill in facts.kills)
        ]
        if again:
            yield Finding("alert twice", f"of Dagster run {dagster_run}")
