"""Decides which queued requests are admitted. The function is pure: it uses only the facts that it is given."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dagster_runs.remote_run.execution.evaluations import AssetPartition
from dagster_runs.sensors.completion.deferred_run import QueuedRun
from dagster_runs.sensors.registry import WatchedAsset

Limited = WatchedAsset | str
"""What has a limit: a definition, or the key of a resource."""


@dataclass
class InFlight:
    """What is in flight, so that requests may have to wait for it.

    Attributes:
        runs: The number of runs in flight, or perhaps in flight, by definition and by resource key.
        asset_partitions: The assets and partitions that have a run in flight.
        targets: The targets of the runs in flight.
        whole_assets: The definitions that have a run of unknown partitions in flight.
    """

    runs: Counter[Limited] = field(default_factory=Counter)
    asset_partitions: set[AssetPartition] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    whole_assets: set[WatchedAsset] = field(default_factory=set)

    def occupy(self, asset: WatchedAsset, partitions: Iterable[str | None] | None) -> None:
        """Adds the partitions of a run, for all assets of the definition; ``None`` if they are not known."""
        if partitions is None:
            self.whole_assets.add(asset)
        else:
            self.asset_partitions.update(_pairs(asset, partitions))

    def is_occupied(self, asset: WatchedAsset, partitions: Iterable[str | None]) -> bool:
        """Whether a run of the definition and one of the partitions is in flight."""
        return asset in self.whole_assets or not self.asset_partitions.isdisjoint(_pairs(asset, partitions))

    def count(self, asset: WatchedAsset) -> None:
        """Counts a run of a definition."""
        self.runs.update([asset, asset.remote.resource_key])


def admit(
    requests: Iterable[QueuedRun],
    in_flight: InFlight,
    limits: Mapping[Limited, int],
    *,
    has_to_wait: Callable[[QueuedRun], bool],
    most: int,
) -> Sequence[QueuedRun]:
    """Returns the requests whose turn it is.

    A request waits for the runs in flight of its assets and partitions, and for earlier requests that overlap with it.
    So the requests of a partition are started in their order.

    Args:
        requests: The requests in their order, one for all equal ones, without those that were admitted before.
        in_flight: What is in flight. The admitted requests are added.
        limits: The maximum number of runs in flight.
        has_to_wait: Whether a request must not be started now for another reason.
        most: The maximum number of requests to admit.
    """
    admitted: list[QueuedRun] = []
    for request in requests:
        if len(admitted) == most:
            break
        asset = request.asset
        mine: list[str | None] = [*request.partitions] or [None]
        is_overlapping = asset.remote.options.queues and in_flight.is_occupied(asset, mine)
        in_flight.occupy(asset, mine)  # a later request must not overtake this one
        has_conflict = request.request.conflicts > 0 and request.record.target in in_flight.targets
        is_full = any(in_flight.runs[one] >= limits[one] for one in (asset, asset.remote.resource_key) if one in limits)
        if is_overlapping or has_conflict or is_full or has_to_wait(request):
            continue
        in_flight.count(asset)
        in_flight.targets.add(request.record.target)
        admitted.append(request)
    return admitted


def _pairs(asset: WatchedAsset, partitions: Iterable[str | None]) -> set[AssetPartition]:
    # A subset of the assets still starts one run, which materializes all.
    return {(key, partition) for partition in partitions for key in asset.keys}
