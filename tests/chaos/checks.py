"""Checks that each materialization has one correct evaluation of each check, which names it. Pure, like `reconcile`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from tests.chaos.facts import Evaluated, Facts, Materialized, RemoteRun, RequestedMaterialization
from tests.chaos.findings import (
    CHECK_MISSING,
    CHECK_TWICE,
    LOST,
    MISJUDGED,
    MISTARGETED,
    UNTARGETED,
    Finding,
)

RUN_STATUS = "run_status"
_SAME_TIME = 0.01
"""Seconds by which two readings of one time may differ."""


def reconcile_checks(facts: Facts) -> Iterator[Finding]:
    """Returns all findings about check evaluations."""
    evaluated: dict[int, list[Evaluated]] = defaultdict(list)
    for evaluation in facts.evaluated:
        evaluated[evaluation.number].append(evaluation)
    materialized: dict[int, list[Materialized]] = defaultdict(list)
    for materialization in facts.materialized:
        materialized[materialization.number].append(materialization)
    runs: dict[str, list[RemoteRun]] = defaultdict(list)
    for run in sorted(facts.remote_runs, key=lambda one: one.created_at):
        runs[run.target].append(run)
    for requested in facts.requested:
        if requested.checks:
            of_one = _Checks(
                requested, evaluated[requested.number], materialized[requested.number], runs[requested.target]
            )
            yield from of_one.findings()


class _Checks:
    """The evaluations of one requested materialization, in all its Dagster runs."""

    def __init__(
        self,
        requested: RequestedMaterialization,
        evaluated: Sequence[Evaluated],
        materialized: Sequence[Materialized],
        runs: Sequence[RemoteRun],
    ) -> None:
        self._requested = requested
        self._evaluated = evaluated
        self._materialized = materialized
        self._by_id = {one.storage_id: one for one in materialized}
        self._outcomes = {run.run_id: run.outcome for run in runs}
        last = len(requested.finds_bad_data) - 1
        self._is_bad = {run.run_id: requested.finds_bad_data[min(index, last)] for index, run in enumerate(runs)}

    def findings(self) -> Iterator[Finding]:
        failures = {one.dagster_run for one in self._evaluated if self._is_of_failure(one)}
        own: Counter[tuple[str, int]] = Counter()
        untargeted: Counter[tuple[str, str, str | None]] = Counter()
        for one in self._evaluated:
            if one.target is None:
                untargeted[one.name, one.dagster_run, one.partition] += 1
                # Only `run_status` names the run; the other checks of a failed run are reported with it.
                if not self._is_of_failure(one) and (one.name == RUN_STATUS or one.dagster_run not in failures):
                    yield self._finding(UNTARGETED, f"{one.name} of {one.partition}")
                if one.partition not in self._requested.partitions:
                    yield self._finding(MISTARGETED, f"{one.name}: its partition is {one.partition}")
                continue
            target = self._by_id.get(one.target.storage_id)
            if why := self._other_target(one, target):
                yield self._finding(MISTARGETED, f"{one.name} of {one.partition}: {why}")
            if target is not None and self._is_own(one, target, failures):
                own[one.name, target.storage_id] += 1
                yield from self._misjudged(one, target)
        for materialized in self._materialized:
            for name, _ in self._requested.checks:
                times = own[name, materialized.storage_id]
                times = times or untargeted[name, materialized.dagster_run, materialized.partition]
                what = f"{name} of {materialized.partition} for run {materialized.run_id}: {times} evaluations"
                if times > 1:
                    yield self._finding(CHECK_TWICE, what)
                elif times == 0 and materialized.is_complete:
                    yield self._finding(CHECK_MISSING, what)
        yield from self._missing_partitions()

    def _missing_partitions(self) -> Iterator[Finding]:
        reported: dict[tuple[str, str | None], set[str | None]] = defaultdict(set)
        for one in self._materialized:
            if one.is_complete:
                reported[one.dagster_run, one.run_id].add(one.partition)
        for (_, run_id), partitions in reported.items():
            lost = set(self._requested.partitions) - partitions
            if lost:
                yield self._finding(
                    LOST, f"run {run_id} is reported for {sorted(map(str, partitions))}, not for {lost}"
                )

    def _is_own(self, one: Evaluated, target: Materialized, failures: AbstractSet[str]) -> bool:
        """Whether it judges that materialization.

        Dagster lets the step of a failed run name the materialization of an earlier Dagster run. The completion sensor
        reports evaluations of its materializations as events of the Dagster run that deferred the remote run.
        """
        if target.dagster_run:
            return target.dagster_run == one.dagster_run
        return not self._is_of_failure(one) and (one.name == RUN_STATUS or one.dagster_run not in failures)

    def _is_of_failure(self, one: Evaluated) -> bool:
        """Whether it names an unsuccessful run, which has no materialization."""
        return self._outcomes.get(one.run_id or "") in ("failed", "canceled")

    def _other_target(self, one: Evaluated, target: Materialized | None) -> str | None:
        named = one.target
        assert named is not None
        if target is None:
            return f"there is no materialization {named.storage_id} of it"
        if target.partition != one.partition:
            return f"it names the materialization of {target.partition}"
        if one.run_id not in (None, target.run_id) and not self._is_of_failure(one):
            return f"it is of run {one.run_id}, and names the materialization of run {target.run_id}"
        if named.dagster_run != target.dagster_run or abs(named.at - target.at) > _SAME_TIME:
            return f"it names materialization {named.storage_id} of another Dagster run or time"
        return None

    def _misjudged(self, one: Evaluated, target: Materialized) -> Iterator[Finding]:
        if one.run_id not in (None, target.run_id):
            return
        is_bad = one.name == self._requested.judged_by and self._is_bad.get(target.run_id or "", False)
        if one.name in (RUN_STATUS, self._requested.judged_by) and one.passed == is_bad:
            text = f"{one.name} of {one.partition} {'passed' if one.passed else 'failed'} for run {target.run_id}"
            yield self._finding(MISJUDGED, text)
        if (one.name, one.is_blocking) not in self._requested.checks:
            yield self._finding(MISJUDGED, f"{one.name} is {'' if one.is_blocking else 'not '}blocking")

    def _finding(self, category: str, text: str) -> Finding:
        return Finding(category, self._requested.number, f"{self._requested.target}: {text}")
