"""Cancelling deferred runs: they have no step that a person could terminate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.remote_run.ending import cancel
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.ledger import Entry
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.step import Step


@dataclass(frozen=True)
class _CancellingStep(Step):
    """A step of a job that cancels: it writes into the ledger of the run that it cancels.

    Attributes:
        flight: That run.
    """

    flight: Flight | None = None

    @cached_property
    def asset_keys(self) -> Sequence[dg.AssetKey]:
        """The assets that the run fills."""
        return self.flight.keys if self.flight is not None else ()

    @cached_property
    def partition(self) -> str | None:
        """As the run's own step has it."""
        return self.flight.record.partition if self.flight is not None else None

    @cached_property
    def single_partition(self) -> str | None:
        """The run's partition, where there is exactly one."""
        return self.flight.partition if self.flight is not None else None


def in_flight(asset: WatchedAsset, instance: dg.DagsterInstance) -> list[Flight]:
    """The deferred runs of an asset that are going, as far as Dagster knows."""
    flights = Flights([asset], instance)
    flights.catch_up(float("inf"))
    return [flight for flight in flights if flight.phase is Phase.GOING]


def cancel_flight(context: Any, flight: Flight) -> str:
    """Cancel a deferred run at the vendor, and note it, so that the completion sensor leaves it alone.

    Args:
        context: The context of the op that cancels.
        flight: The run.

    Returns:
        What became of it.

    Raises:
        dagster.Failure: It goes on, or nobody can tell.
    """
    resource = flight.asset.remote.resource_in(context.resources)
    step = _CancellingStep(context, name=flight.record.name, flight=flight)
    going = Going(flight.run_id, flight.record.correlation_id, flight.record.at, flight.deadline, attached=True)
    following = Following(step, resource, flight.run, flight.asset.remote.options)
    if flight.run.can_cancel:
        said = f"Cancelling the {following.what}"
        following.note(Entry.CANCELLING, said, correlation_id=going.correlation_id, going=going)
    status, said = cancel(following, going, why="somebody ran the job that cancels it")
    if status is None:
        raise dg.Failure(said, allow_retries=False)
    if status.state is RunState.SUCCEEDED:
        return f"{said}. The completion sensor reports its result"
    return said
