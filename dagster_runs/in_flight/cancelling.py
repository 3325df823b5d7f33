"""Cancelling deferred runs: they have no step that a person could terminate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.in_flight.flight import Flight, Phase
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.vendor_resources import VendorResources
from dagster_runs.remote_run.ending import CANCEL_CONFIRMED_WITHIN, ask_to_end, confirm_end
from dagster_runs.remote_run.following import Following, Going
from dagster_runs.remote_run.ledger import Entry
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.step import Step
from dagster_runs.transport.clock import current_clock

_WHY = "somebody ran the job that cancels it"


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
    def step_key(self) -> str | None:
        """As the run's own step has it."""
        return self.flight.record.step if self.flight is not None else None

    @cached_property
    def single_partition(self) -> str | None:
        """The run's partition, where there is exactly one."""
        return self.flight.partition if self.flight is not None else None


def in_flight(asset: WatchedAsset, instance: dg.DagsterInstance) -> list[Flight]:
    """The deferred runs of an asset that are going, as far as Dagster knows."""
    flights = Flights([asset], instance)
    flights.catch_up(float("inf"))
    return [flight for flight in flights if flight.phase is Phase.GOING]


class Cancellation:
    """One deferred run that is being cancelled at the vendor.

    Args:
        context: The context of the op that cancels.
        flight: The run.
        vendors: The initialized resources.
    """

    def __init__(self, context: Any, flight: Flight, vendors: VendorResources) -> None:
        asset = flight.asset.remote
        step = _CancellingStep(context, name=flight.record.name, flight=flight)
        self._following = Following(step, vendors.ready[asset.resource_key], flight.run, asset.options)
        record = flight.record
        self._going = Going(flight.run_id, record.correlation_id, record.at, flight.deadline, attached=True)
        self._until = 0.0

    def ask(self) -> None:
        """Note it, so that the completion sensor leaves the run alone, and ask the vendor to end it."""
        following, going = self._following, self._going
        if following.run.can_cancel:
            said = f"Cancelling the {following.what}"
            following.note(Entry.CANCELLING, said, correlation_id=going.correlation_id, going=going)
        ask_to_end(following, going, why=_WHY)
        self._until = current_clock().monotonic() + CANCEL_CONFIRMED_WITHIN

    def confirm(self) -> str:
        """Wait until the run has ended.

        Returns:
            What became of it.

        Raises:
            dagster.Failure: It goes on, or nobody can tell.
        """
        status, said = confirm_end(self._following, self._going, why=_WHY, until=self._until)
        if status is None:
            raise dg.Failure(said, allow_retries=False)
        if status.state is RunState.SUCCEEDED:
            return f"{said}. The completion sensor reports its result"
        return said
