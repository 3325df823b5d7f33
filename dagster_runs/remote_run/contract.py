"""What a vendor implements: a `RemoteRun` for each kind of run. All else (`life`) works on this contract alone."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunStatus
from dagster_runs.remote_run.types import DAY, ListedRun, RunResult, StartAttempt, StartCandidate
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.errors import NotFoundError, as_outage

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource

ResourceT = TypeVar("ResourceT", bound="RemoteRunResource")


class RemoteRun(BaseModel, ABC, Generic[ResourceT]):
    """What to run at a vendor: its fields are the user's choices, its methods the calls.

    A subclass declares its fields (they are also the launchpad's), the class attributes below, and implements `start`,
    `fetch_status` and what else the vendor can do. Instances are immutable.

    Attributes:
        vendor: The vendor's name for people: ``RudderStack``.
        label: This kind of run, for people: ``Profiles run``.
        resource_key: The default key of the resource.
        asset_kinds: Dagster ``kinds`` of the asset.
        data_checks: Checks on the run's data, by name, with a description each; ``run_status`` comes by itself.
        checks_on_failure: Those of them that a run which did not succeed reports too. Not those that judge data: a
            scan that did not run is no bad data.
        default_timeout: Seconds until a run counts as lost in waiting.
        has_quality_results: Whether a `QualityGate` makes sense for it.
        can_cancel: Whether the vendor can stop a run.
        manual_stop_hint: Where a person stops it, for vendors that cannot.
        lost_start_hint: What the user can set so that a run whose start's answer was lost can be found.
        partition_window_fields: The two fields that a time-window partition fills, or ``None``.
        sensitive_fields: Fields that may name a person or hold a secret, and that following a run does not need: the
            ledger of a deferred run leaves them out.
        local_fields: Fields that the vendor is not told: changing one makes no other run of one that is going.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=False)

    vendor: ClassVar[str]
    label: ClassVar[str]
    resource_key: ClassVar[str]
    asset_kinds: ClassVar[frozenset[str]] = frozenset()
    data_checks: ClassVar[Mapping[str, str]] = {}
    checks_on_failure: ClassVar[frozenset[str]] = frozenset()
    default_timeout: ClassVar[float] = DAY
    has_quality_results: ClassVar[bool] = False
    can_cancel: ClassVar[bool] = False
    manual_stop_hint: ClassVar[str] = ""
    lost_start_hint: ClassVar[str] = ""
    partition_window_fields: ClassVar[tuple[str, str] | None] = None
    sensitive_fields: ClassVar[frozenset[str]] = frozenset()
    local_fields: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def target(self) -> str:
        """The vendor's id of what is run."""

    @property
    def start_is_idempotent(self) -> bool:
        """Whether the vendor takes the correlation id as an idempotency key, so that a start may be sent again."""
        return False

    @property
    def observation_unsupported_reason(self) -> str:
        """Why runs of it that others start cannot be seen; empty if they can."""
        return f"{self.vendor} offers no way to list {self.label}s"

    @property
    def cancel_caveat(self) -> str:
        """What a cancellation at the vendor does not stop, for people; empty where it stops all."""
        return ""

    @abstractmethod
    def start(self, resource: ResourceT, attempt: StartAttempt) -> str:
        """Start the run by one request (`HttpClient.post_once`), and return the vendor's id of it.

        Raises:
            VendorError: The vendor refused, or the answer was lost; ``may_have_been_accepted`` tells which.
        """

    @abstractmethod
    def fetch_status(self, resource: ResourceT, run_id: str) -> RunStatus:
        """Look at the run.

        Raises:
            VendorError: The look failed; this says nothing about the run.
        """

    def get_status(self, resource: ResourceT, run_id: str) -> RunStatus:
        """As `fetch_status`, but only the API itself can say that it does not know the run.

        Raises:
            NotFoundError: It says so.
            VendorError: The look failed; this says nothing about the run.
        """
        try:
            return self.fetch_status(resource, run_id)
        except NotFoundError as error:
            # A proxy's or login page, which must not make a healthy run pass for lost.
            raise error if error.is_from_api else as_outage(error) from None

    def status_of_listed(self, resource: ResourceT, listed: ListedRun) -> RunStatus:
        """How a listed run stands. Of one that has ended it tells all that `fetch_status` does.

        Raises:
            VendorError: A further call was needed, and failed.
        """
        return self.get_status(resource, listed.run_id)

    @property
    def observed_target(self) -> str:
        """What `target_of_listed` says of a listed run of this run's target."""
        return self.target

    def target_of_listed(self, resource: ResourceT, listed: ListedRun) -> str | None:
        """What a listed run, which somebody else may have started, runs.

        Returns:
            Empty for another kind of run than this; ``None`` where the vendor does not tell yet.

        Raises:
            VendorError: A further call was needed, and failed.
        """
        return ""

    def fetch_progress(self, resource: ResourceT, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Metadata of a run that is still active; empty where the vendor tells nothing.

        The keys are those of `fetch_result`. They are shown as ``vendor/progress/name``, so that Dagster does not plot
        the numbers of an active run as if they were results.
        """
        return {}

    def fetch_result(self, resource: ResourceT, run_id: str, status: RunStatus, gate: QualityGate | None) -> RunResult:
        """What the finished run brought. Of one that failed, metadata and ``checks_on_failure`` are shown."""
        return RunResult()

    def cancel(self, resource: ResourceT, run_id: str) -> None:
        """Ask the vendor to stop the run; where ``can_cancel``."""
        raise NotImplementedError(f"{self.vendor} cannot cancel {with_article(self.label)}")

    def find_started(self, resource: ResourceT, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Runs that the lost start may have begun; ``None`` where the vendor offers no way to look."""
        return None

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        """Whether a refused start says that another run of the same target is going."""
        return False

    def run_url(self, resource: ResourceT, run_id: str) -> str | None:
        """The vendor's page for the run."""
        return None

    def in_window(self, start: datetime, end: datetime) -> Self:
        """This run over the partition's time window, where the vendor's run has one and the user set no end of it."""
        if self.partition_window_fields is None:
            return self
        fields = dict(zip(self.partition_window_fields, (start, end), strict=True))
        # Half a window of the user's own means something else; and so does one that was taken away by null.
        if self.model_fields_set.intersection(fields):
            return self
        return self.with_overrides(fields, by="The partition")

    def with_fields(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other values, validated as if it had been written so."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**own, **changes})

    def to_payload(self) -> dict[str, Any]:
        """The fields that are set, without the private ones, as JSON: enough to follow a run without its step."""
        kept = self.model_fields_set - self.sensitive_fields
        return self.model_dump(mode="json", include=set(kept))

    @classmethod
    def from_payload(cls, fields: Mapping[str, Any]) -> Self:
        """A run made of what `to_payload` kept. It can be looked at and cancelled, not started."""
        try:
            return cls.model_validate(fields)
        except ValidationError:  # without its private fields it is no whole run
            return cast("Self", cls.model_construct(**fields))

    def with_overrides(self, changes: Mapping[str, Any], *, by: str) -> Self:
        """A copy with values that are known at launch only.

        Args:
            changes: The values, by field.
            by: Where they come from, for the error.

        Raises:
            dagster.Failure: The vendor would refuse them. It is not retried.
        """
        try:
            return self.with_fields(changes)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or type(self).__name__}: {problem['msg']}"
                for problem in error.errors(include_url=False)
            )
            said = f"{by} makes no valid {type(self).__name__}: {problems}. Nothing was started."
            raise dg.Failure(description=said, allow_retries=False) from None
