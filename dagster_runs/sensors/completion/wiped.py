"""Warns about active deferred runs whose asset was wiped. Wiping deletes the ledger; only this process knows them."""

import logging

import dagster as dg

from dagster_runs.sensors import limits
from dagster_runs.sensors.completion.decisions import Phase
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.index import DeferredRunIndex
from dagster_runs.sensors.grouping import group_by
from dagster_runs.transport.clock import current_clock


class WipedRuns:
    """Finds active runs whose ledger entry is no longer in the event log."""

    def __init__(self) -> None:
        self._checked_at = 0.0
        self._turn = 0
        self._warned: set[DeferredRun] = set()

    def warn(
        self, deferred_runs: DeferredRunIndex, instance: dg.DagsterInstance, log: logging.Logger, until: float
    ) -> None:
        """Logs a warning once for each wiped run. These runs are polled and reported like all others.

        Args:
            deferred_runs: All deferred runs.
            instance: The Dagster instance.
            log: The tick's logger.
            until: Monotonic seconds after which no further asset is checked. A later check continues there.
        """
        now = current_clock().wall()
        if now - self._checked_at < limits.WIPE_CHECK_INTERVAL:
            return
        self._checked_at = now
        unwarned = (one for one in deferred_runs if one.phase is Phase.ACTIVE and one not in self._warned)
        active = list(group_by(unwarned, lambda one: one.asset).values())
        first = self._turn % len(active) if active else 0
        for count, same_asset in enumerate((active[first:] + active[:first])[: limits.WIPE_CHECK_ASSETS]):
            if count and current_clock().monotonic() > until:
                break
            self._turn += 1
            candidates = same_asset[-limits.WIPE_CHECK_RUNS :]
            existing_ids = _entries(candidates, instance)
            for deferred_run in candidates:
                if deferred_run.storage_id not in existing_ids:
                    self._warned.add(deferred_run)
                    log.warning(
                        "%s of %s is active, but the asset was wiped after the run was started, and the record of the "
                        "run with it. This process still polls the run and reports its outcome, but no process will "
                        "after a restart of the code server. Started by Dagster run %s",
                        deferred_run,
                        deferred_run.keys[0].to_user_string() if deferred_run.keys else "an asset",
                        deferred_run.record.dagster_run_id,
                    )
        self._warned &= set(deferred_runs)


def _entries(deferred_runs: list[DeferredRun], instance: dg.DagsterInstance) -> set[int]:
    """Returns the storage ids of the entries that still exist.

    A run of several assets may have its entry on any of them.
    """
    found: set[int] = set()
    ids = [deferred_run.storage_id for deferred_run in deferred_runs]
    for key in deferred_runs[0].asset.keys:
        wanted = dg.AssetRecordsFilter(key, storage_ids=ids)
        found.update(event.storage_id for event in instance.fetch_observations(wanted, limit=len(ids)).records)
    return found
