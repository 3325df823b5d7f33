"""What the sensors do for a suite whose results are checks of other assets, in addition to the checks of its own asset.

The asset that shows the suite's runs is reported like any other one, with its own checks if it has a gate. Then, in the
second phase, the checks of the tables follow, and an observation that says that they are complete.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import dagster as dg

from dagster_runs.dagster_private import newest_check_records, newest_evaluations
from dagster_runs.remote_run.execution.evaluations import checks_digest, identifying_metadata
from dagster_runs.remote_run.execution.event_log import RUN_ID_KEY, events, observed_run
from dagster_runs.remote_run.execution.events import run_metadata
from dagster_runs.remote_run.execution.ledger_entry import LedgerEntry
from dagster_runs.remote_run.metadata_order import in_page_order
from dagster_runs.remote_run.metadata_size import limited
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.sensors.run_outcome import RunOutcome

CHECKS_REPORTED_KEY = "dagster_runs/checks_reported"
"""Metadata of the observation that completes the report of a run: the number of evaluated checks."""
_CHECKS_TAG = "dagster_runs/checks"
"""Tag of the same observation: which checks the report is about."""


class TableReport(Protocol):
    """The report of one run of a suite."""

    def evaluations(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields the evaluations of the declared checks that the run has a result for."""

    def observations_with(self, evaluated: dg.AssetCheckEvaluation) -> list[dg.AssetObservation]:
        """Returns the observations of tables that are reported with an evaluation."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What was not tested, and which tables have no checks. Complete when all evaluations are read."""

    @property
    def messages(self) -> list[str]:
        """The same for the log."""


class TableSuite(Protocol):
    """A suite whose results are checks of other assets."""

    @property
    def key(self) -> dg.AssetKey:
        """The asset that shows the suite's runs."""

    @property
    def checks(self) -> dg.AssetChecksDefinition:
        """The definition of the checks, whose op runs the suite."""

    @property
    def table_checks(self) -> Sequence[dg.AssetCheckKey]:
        """The checks of the tables, without those of the suite's own asset."""

    def report_deferred(
        self,
        instance: dg.DagsterInstance,
        record: LedgerEntry,
        result: RunResult,
        shown: Mapping[str, Any],
        *,
        reported: Collection[dg.AssetCheckKey],
    ) -> TableReport:
        """Returns the report of a run that Dagster started.

        Args:
            instance: The Dagster instance.
            record: A ledger entry about its start.
            result: The result.
            shown: The metadata of each evaluation.
            reported: The checks of tables that already have an evaluation of this run.
        """

    def report_observed(
        self,
        instance: dg.DagsterInstance,
        started_at: float | None,
        marker: dg.EventLogRecord | None,
        result: RunResult,
        shown: Mapping[str, Any],
        *,
        reported: Collection[dg.AssetCheckKey],
    ) -> TableReport:
        """Returns the report of a run that was started elsewhere.

        Args:
            instance: The Dagster instance.
            started_at: Epoch seconds of its start by our clock; ``None`` if it is unknown.
            marker: An event that is not a materialization of a table.
            result: The result.
            shown: The metadata of each evaluation.
            reported: The checks of tables that already have an evaluation of this run.
        """


def evaluation_metadata(outcome: RunOutcome) -> dict[str, Any]:
    """Returns the metadata of each evaluation, which identifies the run."""
    url = outcome.run.page_url(outcome.resource, outcome.run_id)
    shown = run_metadata(outcome.run, outcome.run_id, url=url, attached=False, status=outcome.status)
    return identifying_metadata(shown)


def evaluated_by(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey], run_id: str, since: float
) -> set[dg.AssetCheckKey]:
    """Returns the checks that already have an evaluation by a remote run.

    Args:
        instance: The Dagster instance.
        checks: The checks.
        run_id: The remote run.
        since: Epoch seconds by the machine's clock, before which there is none.
    """
    newest = newest_check_records(instance, checks)
    # Reading an evaluation takes much longer than finding it, so the newest one decides if it can.
    return {
        check
        for check, record in newest.items()
        if (record.evaluated is not None and _run_of(record.evaluated.evaluation) == run_id)
        or (
            (record.evaluated is None or record.evaluated.timestamp >= since)
            and any(_run_of(one) == run_id for one in newest_evaluations(instance, check, since))
        )
    }


def missing_observations(
    report: TableReport, evaluated: dg.AssetCheckEvaluation, instance: dg.DagsterInstance, since: float
) -> list[dg.AssetObservation]:
    """Returns the observations of a stored evaluation that are not stored. A lost tick stores only its first events.

    Args:
        report: The report of the run.
        evaluated: The evaluation.
        instance: The Dagster instance.
        since: Epoch seconds by the machine's clock, before which there are none.
    """
    wanted = report.observations_with(evaluated)
    if not wanted:
        return []
    of_asset = dg.AssetRecordsFilter(evaluated.asset_key, after_timestamp=since)
    run_id = _run_of(evaluated)
    is_stored = any(observed_run(event) == run_id for event in events(instance.fetch_observations, of_asset))
    return [] if is_stored else wanted


def _run_of(evaluated: dg.AssetCheckEvaluation) -> str | None:
    entry = evaluated.metadata.get(RUN_ID_KEY)
    return entry.value if isinstance(entry, dg.TextMetadataValue) else None


def completed(
    suite: TableSuite, run_id: str, status: RunStatus, report: TableReport, count: int
) -> dg.AssetObservation:
    """Returns the observation that completes the report of a run.

    Args:
        suite: The suite.
        run_id: The remote run.
        status: Its status.
        report: The report, all of whose evaluations are read.
        count: The number of evaluations.
    """
    shown = {
        **report.metadata,
        RUN_ID_KEY: dg.MetadataValue.text(run_id),
        "dagster_runs/state": dg.MetadataValue.text(status.state.value),
        CHECKS_REPORTED_KEY: dg.MetadataValue.int(count),
    }
    return dg.AssetObservation(
        suite.key,
        description=f"{count} checks of tables are evaluated by this run",
        metadata=in_page_order(limited(shown)),
        tags={_CHECKS_TAG: _digest(suite)},
    )


def is_completed(suite: TableSuite, run_id: str, since: float, instance: dg.DagsterInstance) -> bool:
    """Whether the report of a run is complete.

    Args:
        suite: The suite.
        run_id: The remote run.
        since: Epoch seconds by the machine's clock, before which it was not reported.
        instance: The Dagster instance.
    """
    found = events(instance.fetch_observations, dg.AssetRecordsFilter(suite.key, after_timestamp=since))
    return any(observed_run(event) == run_id and _is_completion(event, _digest(suite)) for event in found)


def _is_completion(event: dg.EventLogRecord, digest: str) -> bool:
    observation = event.event_log_entry.asset_observation
    if observation is None or CHECKS_REPORTED_KEY not in observation.metadata:
        return False
    return observation.tags.get(_CHECKS_TAG, digest) == digest


def _digest(suite: TableSuite) -> str:
    """Returns a text that is different for other checks: two code locations may have checks of the same suite."""
    return checks_digest(suite.table_checks)
