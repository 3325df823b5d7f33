"""Requests what the user wants after each finished run of the completion sensor, once per run."""

from collections.abc import Mapping
from typing import Any

from dagster_runs.remote_run.state import RunState
from dagster_runs.sensors import limits, run_requests
from dagster_runs.sensors.completion.context import TickContext
from dagster_runs.sensors.completion.continuations import continuations_of
from dagster_runs.sensors.completion.deferred_run import DeferredRun
from dagster_runs.sensors.completion.reruns import rerun_of
from dagster_runs.sensors.registry import WatchedAsset
from dagster_runs.sensors.run_outcome import FinishedRun
from dagster_runs.sensors.tick import TickOutput
from dagster_runs.transport.clock import current_clock, machine_time


class FollowUps:
    """Requests a follow-up run for each finished run.

    Args:
        follow_up: What the user wants after each finished run; ``None`` for nothing.
        default_jobs: For each asset, the job that requests one more run of it.
        continued_jobs: The jobs whose Dagster runs are continued after a deferred run, by name.
    """

    def __init__(
        self, follow_up: Any, default_jobs: Mapping[WatchedAsset, str], continued_jobs: Mapping[str, Any]
    ) -> None:
        self._follow_up = follow_up
        self._continued_jobs = continued_jobs
        self._may_request = (
            follow_up is not None
            or bool(continued_jobs)
            or any(any(asset.definition.automation_conditions_by_key.values()) for asset in default_jobs)
        )
        self._default_jobs = default_jobs
        self._since = 0.0

    def reset(self, written_at: float) -> None:
        """Starts over with a new index of runs. A lost tick may have reported some of them without its requests.

        Args:
            written_at: Epoch seconds of the last stored cursor; 0 without one. In that case only the very first tick
                can have been lost, or a user has removed the cursor.
        """
        self._since = machine_time((written_at or current_clock().wall()) - limits.LATE_FOLLOW_UP)

    def has_room(self, output: TickOutput) -> bool:
        """Whether the tick can report another run together with its follow-up."""
        return output.has_room_for_requests or not self._may_request

    def request(
        self,
        deferred_run: DeferredRun,
        tick: TickContext,
        *,
        state: RunState | None = None,
        is_reported: bool = True,
    ) -> None:
        """Requests the follow-up of a run, and one more run of its assets if an input has changed since its start.

        Args:
            deferred_run: The run.
            tick: The tick.
            state: The final state of the run; ``None`` for the state of the last poll.
            is_reported: Whether its materializations and evaluations are reported, so that what depends on them may
                run. Otherwise, a Dagster run will report them; see `proceed`.
        """
        state = state or deferred_run.last_status.state
        if state is RunState.SUCCEEDED and is_reported:
            self.proceed(deferred_run, tick)
        if self._follow_up is None:
            return
        finished = FinishedRun(
            run_id=deferred_run.run_id,
            vendor=deferred_run.run.vendor,
            state=state if state.is_final else RunState.UNKNOWN,
            asset_keys=tuple(deferred_run.keys),
            partitions=tuple(deferred_run.partitions),
        )
        tick.output.requests += run_requests.follow_up_requests(self._follow_up, finished, tick.context)

    def proceed(self, deferred_run: DeferredRun, tick: TickContext) -> None:
        """Requests what depends on a run that has succeeded: skipped downstream assets, and a run for newer inputs."""
        rerun = rerun_of(deferred_run, tick, self._default_jobs[deferred_run.asset])
        tick.output.requests += [rerun] if rerun is not None else []
        tick.output.requests += continuations_of(deferred_run, tick, self._continued_jobs)

    def request_again(self, tick: TickContext) -> None:
        """Requests the follow-ups of runs that a lost tick may have reported. Dagster drops duplicate requests."""
        deferred_runs = tick.deferred_runs
        unverified = set(deferred_runs.to_verify)
        for _ in range(len(deferred_runs.reported)):
            deferred_run, at, state = deferred_runs.reported.popleft()
            if deferred_run in unverified:
                # It is not known yet whether its evaluations are missing.
                deferred_runs.reported.append((deferred_run, at, state))
                continue
            # The follow-up of a run whose evaluations are missing is requested together with them.
            if at >= self._since and not deferred_run.is_unevaluated:
                self.request(deferred_run, tick, state=state)
                if tick.output.is_late or not tick.output.has_room_for_requests:
                    return
