"""What Dagster is told of a remote run that has ended without a step to tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dagster_runs.in_flight.definition import WatchedAsset
from dagster_runs.remote_run.contract import CheckOutcome, RemoteRun, RunResult
from dagster_runs.remote_run.reporting import run_metadata, run_status_outcome
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState, RunStatus

Place = tuple[dg.AssetKey, str | None]
"""An asset and its partition; ``None`` for an asset without partitions."""
AssetEvent = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dataclass(frozen=True)
class FinishedRun:
    """A remote run that has ended.

    Attributes:
        run_id: The vendor's id.
        vendor: The vendor's name.
        state: How it ended; ``UNKNOWN`` where a step is to find that out.
        asset_keys: The assets that it fills.
        partitions: The partitions that it fills; empty for assets without partitions.
    """

    run_id: str
    vendor: str
    state: RunState
    asset_keys: tuple[dg.AssetKey, ...]
    partitions: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the vendor says that it succeeded."""
        return self.state is RunState.SUCCEEDED


@dataclass(frozen=True)
class Ended:
    """The end of a run, with all that is known of it.

    Attributes:
        asset: The definition that it fills.
        places: Its assets and their partitions.
        run: What ran.
        run_id: The vendor's id.
        resource: The vendor's resource.
        status: How it ended.
        result: What it brought.
        more: Further metadata.
        is_of_kind: Whether it is of the kind that the asset has now, so that ``run`` tells what ran.
    """

    asset: WatchedAsset
    places: Sequence[Place]
    run: RemoteRun[Any]
    run_id: str
    resource: RemoteRunResource
    status: RunStatus
    result: RunResult
    more: Mapping[str, Any]
    is_of_kind: bool = True

    def as_success(self) -> list[AssetEvent]:
        """The checks, and a materialization of each asset and partition.

        In this order, so that whoever sees the materialization sees the checks too: a blocking one holds back what is
        downstream, and a tick that got lost before the materialization is done anew.
        """
        return [
            *self._evaluations([run_status_outcome(self.run, self.run_id, self.status), *self.result.checks]),
            *(
                dg.AssetMaterialization(key, metadata=self._metadata(), partition=partition)
                for key, partition in self.places
            ),
        ]

    def as_failure(self) -> list[AssetEvent]:
        """The checks that a run which did not succeed reports, and an observation of each asset and partition."""
        told = [check for check in self.result.checks if check.name in self.run.checks_of_failed_runs]
        what = f"{self.run.vendor} {self.run.label} of {self.run.target}" if self.is_of_kind else f"run {self.run_id}"
        said = f"The {what} ended {self.status.plain_word}"
        return [
            *self._evaluations([run_status_outcome(self.run, self.run_id, self.status), *told]),
            *(
                dg.AssetObservation(key, description=said, metadata=self._metadata(), partition=partition)
                for key, partition in self.places
            ),
        ]

    def _metadata(self) -> dict[str, Any]:
        url = self.run.run_url(self.resource, self.run_id) if self.is_of_kind else None
        known = run_metadata(self.run, self.run_id, url=url, attached=False, status=self.status)
        return {**self.result.metadata, **known, **self.more}

    def _evaluations(self, outcomes: Sequence[CheckOutcome]) -> Iterator[dg.AssetCheckEvaluation]:
        specs = {spec.key: spec for spec in self.asset.definition.check_specs}
        for key in dict.fromkeys(key for key, _ in self.places):
            for outcome in outcomes:
                spec = specs.get(dg.AssetCheckKey(key, outcome.name))
                if spec is not None:
                    yield dg.AssetCheckEvaluation(
                        asset_key=key,
                        check_name=outcome.name,
                        passed=outcome.passed,
                        severity=outcome.severity,
                        description=outcome.description,
                        metadata=dict(outcome.metadata),
                        blocking=spec.blocking,
                    )
