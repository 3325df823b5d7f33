"""Checks that each deferred run was started once, and that its outcome was reported once and correctly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.endurance.facts import Alert, Evaluated, Facts, Materialized, Place, Planned, Publishing, RemoteRun

RUN_STATUS = "run_status"
MISSING = "check missing"
CATEGORIES = (
    "not started",
    "second remote run",
    "lost",
    "told twice",
    "told wrongly",
    MISSING,
    "check twice",
    "check without its target",
    "check of another target",
    "judged wrongly",
    "without the vendor's words",
    "alert missing",
    "alert twice",
)
_SAME_TIME = 0.01
"""Seconds by which two readings of one time may differ."""
_KILLED_MEANWHILE = 60.0
"""Seconds before a kill in which an alert may have fired whose tick was not stored: Dagster fires it again."""


@dataclass(frozen=True)
class Finding:
    """A violation of an invariant."""

    category: str
    text: str


def reconcile(facts: Facts) -> list[Finding]:
    """Returns all findings."""
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
        for place in planned.places:
            good = materialized[place, run.run_id]
            if of_place[place] > good:
                yield Finding("told wrongly", f"{place}: a materialization reports another run than {run.run_id}")
            yield from _reports(planned, place, run, good, publishing[run.run_id])


def _reports(planned: Planned, place: Place, run: RemoteRun, good: int, bad: list[Publishing]) -> Iterator[Finding]:
    what = f"{place}, {run.run_id} ({run.outcome})"
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
        if planned.expected not in one.message:
            yield Finding(
                "without the vendor's words", f"{what}: {planned.expected!r} is not in {one.message[-300:]!r}"
            )


def _checks(facts: Facts) -> Iterator[Finding]:
    """Each reported outcome must have one evaluation of each check, which names its target materialization."""
    by_id = {one.storage_id: one for one in facts.materialized}
    outcomes = {run.run_id: run.outcome for run in facts.remote_runs}
    declared: dict[str, list[str]] = defaultdict(list)
    for check in facts.checks:
        declared[check.check[0]].append(check.check[1])
    # By the materialization that it names; or, if it names none, as for a failed run, by the
    # partition and the run that the check names.
    judging: Counter[tuple[str, int]] = Counter()
    untargeted: Counter[tuple[str, str, str | None]] = Counter()
    for evaluated in facts.evaluated:
        asset, name = evaluated.check
        is_of_failure = outcomes.get(evaluated.run_id or "") in ("failed", "canceled")
        if evaluated.target is not None:
            target = by_id.get(evaluated.target.storage_id)
            # The evaluation of a failed run may name the materialization of an earlier run.
            is_of_earlier = is_of_failure and target is not None and target.run_id != evaluated.run_id
            judging[name, evaluated.target.storage_id] += not is_of_earlier
            why = _other_target(evaluated, target, of_failure=is_of_failure)
            if why:
                yield Finding("check of another target", f"{name} of {asset}, {evaluated.partition}: {why}")
        else:
            untargeted[asset, name, evaluated.partition] += 1
            # The other checks of a failed run do not name it; checks of a success never come from a Dagster run that
            # did not materialize the asset.
            if not is_of_failure and (name == RUN_STATUS or not evaluated.dagster_run):
                yield Finding("check without its target", f"{name} of {asset}, {evaluated.partition}")
            if evaluated.partition is None:
                yield Finding("check of another target", f"{name} of {asset}, {evaluated.run_id}: no partition")
    for one in facts.materialized:
        for name in declared[one.place[0]]:
            times = judging[name, one.storage_id] or untargeted[(one.place[0], name, one.place[1])]
            yield from _number(times, f"{name} of {one.place}, {one.run_id}")
    yield from _checks_of_failures(facts)
    yield from _judgements(facts, by_id)


def _other_target(evaluated: Evaluated, target: Materialized | None, *, of_failure: bool) -> str | None:
    """Returns what is wrong with the materialization that an evaluation names."""
    named = evaluated.target
    assert named is not None
    if target is None:
        return f"there is no materialization {named.storage_id}"
    if target.place != (evaluated.check[0], evaluated.partition):
        return f"it names the materialization of {target.place}"
    if evaluated.run_id not in (None, target.run_id) and not of_failure:
        return f"it is of run {evaluated.run_id}, and names the materialization of run {target.run_id}"
    if named.dagster_run != target.dagster_run or abs(named.at - target.at) > _SAME_TIME:
        return f"it names materialization {named.storage_id} of another Dagster run or time"
    return None


def _number(times: int, what: str) -> Iterator[Finding]:
    if times != 1:
        yield Finding("check twice" if times > 1 else MISSING, f"{what}: {times} evaluations")


def _checks_of_failures(facts: Facts) -> Iterator[Finding]:
    # An active run has no status to check.
    ending = {planned.place: planned for planned in facts.planned if planned.ends}
    failed = {(one.place, one.run_id) for one in facts.publishing if one.failed and one.began and one.place in ending}
    reported = Counter(
        (one.check[0], one.partition, one.run_id) for one in facts.evaluated if one.check[1] == RUN_STATUS
    )
    without_partition = {
        (one.check[0], one.run_id) for one in facts.evaluated if one.check[1] == RUN_STATUS and one.partition is None
    }
    for place, run_id in sorted(failed):
        if (place[0], run_id) in without_partition:
            continue  # which is a separate finding
        for asset, partition in ending[place].places:
            yield from _number(reported[asset, partition, run_id], f"{RUN_STATUS} of {asset}, {partition}, {run_id}")


def _judgements(facts: Facts, by_id: dict[int, Materialized]) -> Iterator[Finding]:
    """Bad data fails its blocking check, and nothing else fails of a run that succeeded."""
    bad = {place for planned in facts.planned if planned.is_bad for place in planned.places}
    declared = {one.check: one for one in facts.checks}
    for one in facts.evaluated:
        target = by_id.get(one.target.storage_id) if one.target is not None else None
        check = declared.get(one.check)
        if target is None or check is None or one.run_id not in (None, target.run_id):
            continue
        what = f"{one.check[1]} of {target.place}"
        if one.passed == (check.judges_data and target.place in bad):
            yield Finding("judged wrongly", f"{what}: it {'passed' if one.passed else 'failed'}")
        if one.is_blocking != check.is_blocking:
            yield Finding("judged wrongly", f"{what}: it is {'' if one.is_blocking else 'not '}blocking")


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
