"""The ticks of the check failure sensor, which request a run for each failed evaluation of some checks.

Dagster launches the requested runs before it stores the tick's cursor. If a tick is lost in between, the old cursor
remains, and the same runs are requested again. They have the same run keys, so Dagster launches each of them once.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from dagster_runs.dagster_private import StoredEvaluation
from dagster_runs.sensors import limits, run_requests
from dagster_runs.sensors.check_failures.cursor import CheckFailureCursor
from dagster_runs.sensors.check_failures.failed_check import failed_check, occasion_of
from dagster_runs.sensors.check_failures.reader import EvaluationReader
from dagster_runs.sensors.run_outcome import PRELIMINARY_KEY
from dagster_runs.sensors.run_requests import FollowUp
from dagster_runs.transport.clock import current_clock

_STILL_RUNNING = "The last tick of this sensor is still running"


class CheckFailures:
    """The ticks of a check failure sensor.

    Args:
        checks: The checks.
        severities: The severities of the failures that count.
        follow_up: What the user wants after each failure.
    """

    def __init__(
        self, checks: Sequence[dg.AssetCheckKey], severities: frozenset[dg.AssetCheckSeverity], follow_up: FollowUp
    ) -> None:
        self._checks = checks
        self._severities = severities
        self._follow_up = follow_up
        self._reader: EvaluationReader | None = None
        self._stored_text: str | None = None
        self._busy = threading.Lock()
        self._is_checked = False

    def tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Evaluates the sensor once."""
        if not self._busy.acquire(blocking=False):
            return dg.SkipReason(_STILL_RUNNING)
        try:
            return self._tick(context)
        except BaseException:
            self._reader = None  # it is unknown how far the tick got
            raise
        finally:
            self._busy.release()

    def _tick(self, context: dg.SensorEvaluationContext) -> dg.SensorResult:
        begun = current_clock().monotonic()
        self._warn_about_undeclared(context)
        reader = self._reader
        if reader is None or context.cursor != self._stored_text:
            cursor = CheckFailureCursor.from_text(context.cursor)
            reader = self._reader = EvaluationReader(self._checks, self._is_failure, context.instance, cursor)
            self._stored_text = context.cursor
        if not reader.catch_up(begun + limits.CHECKS_READ_UNTIL):
            return dg.SensorResult(
                skip_reason="Reading the evaluations; the next tick continues", cursor=context.cursor
            )
        requests = self._requests(reader, begun + limits.TICK_SECONDS, context)
        text = reader.cursor.as_text() if reader.cursor is not None else None
        waiting = len(reader.unreported)
        self._stored_text = text
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else f"No run is requested, {waiting} failed checks are left to the next tick",
            cursor=text,
        )

    def _requests(
        self, reader: EvaluationReader, until: float, context: dg.SensorEvaluationContext
    ) -> list[dg.RunRequest]:
        clock = current_clock()
        requests: list[dg.RunRequest] = []
        reported: list[StoredEvaluation] = []
        for stored in reader.unreported:
            if len(requests) >= limits.MAX_TICK_REQUESTS or (reported and clock.monotonic() > until):
                break
            requests += run_requests.requests_after(self._follow_up, occasion_of(failed_check(stored)), context)
            reported.append(stored)
        reader.set_reported(reported)
        return requests

    def _is_failure(self, evaluation: dg.AssetCheckEvaluation) -> bool:
        is_reported_again = PRELIMINARY_KEY in evaluation.metadata
        return not evaluation.passed and evaluation.severity in self._severities and not is_reported_again

    def _warn_about_undeclared(self, context: dg.SensorEvaluationContext) -> None:
        """Warns once about checks that this code location does not have. Another one may have them."""
        repository = context.repository_def
        if repository is None or self._is_checked:
            return
        self._is_checked = True
        declared = set(repository.asset_checks_defs_by_key)
        for definition in repository.assets_defs_by_key.values():
            declared |= definition.check_keys
        missing = [f"{key.asset_key.to_user_string()}:{key.name}" for key in self._checks if key not in declared]
        if missing:
            context.log.warning(
                "%s: not a check of this code location. The sensor requests a run only if another code location, or an "
                "API call, reports an evaluation of it",
                ", ".join(sorted(missing)),
            )


def check_keys(checks: Iterable[Any]) -> list[dg.AssetCheckKey]:
    """Returns the keys of checks, each of them once.

    Args:
        checks: Keys, specs, or definitions of assets or checks.

    Raises:
        DagsterInvalidDefinitionError: One of them is something else, or has no checks.
    """
    if isinstance(checks, (str, dg.AssetCheckKey, dg.AssetCheckSpec, dg.AssetsDefinition)) or not isinstance(
        checks, Iterable
    ):
        raise dg.DagsterInvalidDefinitionError(f"checks is {checks!r}; it must be a list of checks")
    found: dict[dg.AssetCheckKey, None] = {}
    for one in checks:
        if isinstance(one, dg.AssetCheckKey):
            keys = [one]
        elif isinstance(one, dg.AssetCheckSpec):
            keys = [one.key]
        elif isinstance(one, dg.AssetsDefinition):  # also the definition of checks
            keys = sorted(one.check_keys, key=lambda key: (key.asset_key.path, key.name))
            if not keys:
                names = ", ".join(sorted(key.to_user_string() for key in one.keys))
                raise dg.DagsterInvalidDefinitionError(
                    f"checks contains the asset {names}, whose definition has no checks. If they are defined with "
                    "@asset_check, pass these checks"
                )
        else:
            raise dg.DagsterInvalidDefinitionError(
                f"checks contains {one!r}; each must be an AssetCheckKey, an AssetCheckSpec, a check, or an asset with "
                "checks"
            )
        found.update(dict.fromkeys(keys))
    if not found:
        raise dg.DagsterInvalidDefinitionError("checks is empty, so no check can fail")
    return list(found)
