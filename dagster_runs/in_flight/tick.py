"""One tick of the completion sensor: what its parts read, and where they report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import dagster as dg

from dagster_runs.in_flight.finished import Ended
from dagster_runs.in_flight.flight import Flight
from dagster_runs.in_flight.flights import Flights
from dagster_runs.in_flight.published import Published
from dagster_runs.in_flight.report import Report
from dagster_runs.remote_run.evaluations import Place
from dagster_runs.remote_run.resource import RemoteRunResource


@dataclass(frozen=True)
class Tick:
    """One tick, after its polls.

    Attributes:
        flights: All deferred runs.
        published: Which runs have been reported already.
        resources: The resources that can be used, by key.
        report: What the tick reports.
        context: The sensor's context.
    """

    flights: Flights
    published: Published
    resources: Mapping[str, RemoteRunResource]
    report: Report
    context: dg.SensorEvaluationContext

    def has_resource(self, flight: Flight) -> bool:
        """Whether the run's resource can be used."""
        return flight.asset.remote.resource_key in self.resources

    def ended(
        self,
        flight: Flight,
        places: Sequence[Place],
        newest: Mapping[Place, dg.EventLogRecord] = MappingProxyType({}),
    ) -> Ended:
        """The end of a run, as the last poll showed it.

        Args:
            flight: The run. Its resource can be used.
            places: The assets and partitions to report.
            newest: The newest materialization of each place, for a run that did not succeed.
        """
        more = {"dagster_runs/deferred_by": dg.MetadataValue.dagster_run(flight.record.dagster_run_id)}
        return Ended(
            asset=flight.asset,
            places=places,
            run=flight.run,
            run_id=flight.run_id,
            resource=self.resources[flight.asset.remote.resource_key],
            status=flight.last_status,
            result=flight.result,
            more=more,
            provenance=flight.provenance,
            newest=newest,
            is_of_kind=flight.is_of_kind,
        )
