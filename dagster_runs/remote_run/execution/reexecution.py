"""Finds the earlier Dagster runs whose remote runs a Dagster run may attach to.

Dagster has many ways to re-execute a run, and each leaves different traces: tags, a parent in the run's record, a known
state in its plan, or only the backfill's id. This module reduces them to two questions: Which Dagster runs does this
one re-execute? Does it resume them, or does it run their steps again? A run without any relation to an earlier one
starts fresh. So does a run that re-executes *all steps* in the UI or by GraphQL.
"""

from collections.abc import Iterator, Sequence
from enum import Enum

import dagster as dg

from dagster_runs import dagster_private

DEFERRED_BY_TAG = "dagster_runs/deferred_by"
"""Tag of a Dagster run that the completion sensor requests: the Dagster run that started the remote run."""
_RESUME_TAG = "dagster/is_resume_retry"
ASSET_RESUME_TAG = "dagster/is_asset_resume_retry"
"""Tags of a run that was re-executed from failure, by steps or by assets."""
_PARENT_TAG = "dagster/parent_run_id"
"""Tag of each run that the UI, GraphQL, the daemon or a backfill re-executes. The Python API sets only the field."""
_RETRY_NUMBER_TAG = "dagster/retry_number"
"""Tag of each run that the daemon retries. Its number differs from the one on the parent run."""
BACKFILL_TAG = "dagster/backfill"
WILL_RETRY_TAG = "dagster/will_retry"
"""Tag of a failed run that the daemon will retry."""
_PARENT_BACKFILL_TAG = "dagster/parent_backfill_id"
"""Tag of the runs of a backfill that re-executes another one. For asset backfills it is the only trace."""
_PARTITION_TAGS = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
_MAX_ANCESTORS = 64


def will_be_retried(run: dg.DagsterRun) -> bool:
    """Whether the daemon will retry a failed run."""
    return run.tags.get(WILL_RETRY_TAG) == "true"


def is_active(run: dg.DagsterRun) -> bool:
    """Whether a run has not finished, or will be retried."""
    return not run.is_finished or will_be_retried(run)


class Reexecution(Enum):
    """What a Dagster run does with the remote run of a Dagster run that it re-executes."""

    RESUME = "resume"
    """Attaches to the remote run, or takes its result."""
    REPEAT = "repeat"
    """Attaches to it while it is active or while its start is uncertain. Starts a new one if it has finished."""
    FRESH = "fresh"
    """Leaves it alone, because the user wants a new one."""


class Ancestry:
    """A Dagster run, and the earlier ones whose remote runs it may attach to.

    Attributes:
        run_ids: The ids of these runs, newest first, beginning with the run itself.
    """

    def __init__(self, instance: dg.DagsterInstance, run: dg.DagsterRun, step_key: str | None) -> None:
        """Looks up the earlier runs.

        Args:
            instance: The Dagster instance.
            run: The Dagster run.
            step_key: The key of the step that is executed again.
        """
        self._instance = instance
        self._step_key = step_key
        self._repeated: set[str] = set()
        found = {run.run_id: run}
        kind = Reexecution.RESUME
        newest: dg.DagsterRun | None = run
        while newest is not None and len(found) < _MAX_ANCESTORS:
            before, link = self._before(newest)
            # If a run repeats its parent, it also repeats every run that the parent resumed.
            kind = Reexecution.REPEAT if Reexecution.REPEAT in (kind, link) else kind
            newest = None
            for one in before:
                if one.run_id not in found:
                    found[one.run_id] = one
                    newest = one  # ends up as the oldest of them
                    if kind is Reexecution.REPEAT:
                        self._repeated.add(one.run_id)
        self.run_ids: Sequence[str] = list(found)

    def is_repeated(self, run_id: str) -> bool:
        """Whether this run attaches to that Dagster run's remote run only while it is active or uncertain."""
        return run_id in self._repeated

    def _before(self, run: dg.DagsterRun) -> tuple[Sequence[dg.DagsterRun], Reexecution]:
        """Returns the runs that a run re-executes, newest first, and how. A re-executed backfill may have several."""
        if run.parent_run_id is None:
            # A re-execution inherits tags, so only the tags of a first run describe that run itself.
            deferred_by = run.tags.get(DEFERRED_BY_TAG)
            if deferred_by is not None:
                return list(self._get(deferred_by)), Reexecution.RESUME
            return self._of_parent_backfill(run), Reexecution.REPEAT
        parents = list(self._get(run.parent_run_id))
        how = self._reexecutes(run, parents[0]) if parents else Reexecution.FRESH
        return ([], how) if how is Reexecution.FRESH else (parents, how)

    def _get(self, run_id: str) -> Iterator[dg.DagsterRun]:
        run = self._instance.get_run_by_id(run_id)
        if run is not None:
            yield run

    def _reexecutes(self, run: dg.DagsterRun, parent: dg.DagsterRun) -> Reexecution:
        tags = run.tags
        if tags.get(_RESUME_TAG) == "true":
            return Reexecution.RESUME
        # Dagster copies the second tag to a re-execution of all steps (measured on 1.13.27), and only a run that did
        # not succeed can be resumed.
        is_passed_on = parent.tags.get(ASSET_RESUME_TAG) == "true" and parent.is_success
        if tags.get(ASSET_RESUME_TAG) == "true" and not is_passed_on:
            return Reexecution.RESUME
        if dagster_private.builds_on_parent(self._instance, run):
            # The run was re-executed from failure by the Python API, or with selected steps. A user who selects a step
            # that has succeeded wants its work to be done again.
            step = self._step_key
            has_succeeded = step is not None and dagster_private.has_succeeded(self._instance, parent.run_id, step)
            return Reexecution.REPEAT if has_succeeded else Reexecution.RESUME
        is_by_daemon = tags.get(_RETRY_NUMBER_TAG) not in (None, parent.tags.get(_RETRY_NUMBER_TAG))
        is_by_python = tags.get(_PARENT_TAG) != run.parent_run_id
        selects_steps_of_backfill = BACKFILL_TAG in tags and run.step_keys_to_execute is not None
        if is_by_daemon or is_by_python or selects_steps_of_backfill:
            return Reexecution.REPEAT
        return Reexecution.FRESH

    def _of_parent_backfill(self, run: dg.DagsterRun) -> Sequence[dg.DagsterRun]:
        """Returns the runs of the same partition in the backfill that this run's backfill re-executes."""
        backfill = run.tags.get(_PARENT_BACKFILL_TAG)
        if backfill is None:
            return []
        partition = {name: run.tags[name] for name in _PARTITION_TAGS if name in run.tags}
        wanted = dg.RunsFilter(tags={**partition, BACKFILL_TAG: backfill})
        return self._instance.get_runs(filters=wanted, limit=_MAX_ANCESTORS)
