"""The contract that a vendor implements: one `RemoteRun` subclass per kind of run.

All other code uses only this contract, never a vendor's own classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partialmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from typing_extensions import Self

from dagster_runs.remote_run import vendor_code as code
from dagster_runs.remote_run.data_checks import with_declared_checks
from dagster_runs.remote_run.field_errors import explained, problems_of, variable_in
from dagster_runs.remote_run.metadata_size import limited_result
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.run_class import RunMeta, check_run_class
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import DAY, DataCheck, ListedRun, RunResult, StartAttempt, StartCandidate
from dagster_runs.remote_run.vendor_code import vendor_code
from dagster_runs.remote_run.wording import with_article
from dagster_runs.transport.errors import NotFoundError, as_outage

if TYPE_CHECKING:
    from dagster_runs.remote_run.resource import RemoteRunResource

ResourceT = TypeVar("ResourceT", bound="RemoteRunResource")


class RemoteRun(BaseModel, ABC, Generic[ResourceT], metaclass=RunMeta):
    """A remote run at a vendor: its fields are the parameters of the run, and its methods call the vendor's API.

    A subclass declares its fields, which also appear in the launchpad, and the class attributes below. It implements
    `target`, `start` and `fetch_status`, and the methods for what the vendor supports beyond that. What a method does
    is available because the method is there: there are no flags to set. Instances are immutable.

    Attributes:
        vendor: The vendor's display name: ``RudderStack``.
        label: The display name of this kind of run: ``Profiles run``.
        resource_key: The default key of the resource.
        asset_kinds: The Dagster ``kinds`` of the asset.
        data_checks: The checks on the run's data: a description, or a `DataCheck`, for each name. ``run_status`` is
            added automatically. If the checks depend on the run's fields, define `declared_checks` instead.
        default_timeout: The default timeout in seconds.
        gate_fields: The thresholds of a `QualityGate` that the checks of this kind of run judge, such as ``min_score``.
            ``blocking`` needs none of them.
        manual_stop_hint: How a user stops a run, for vendors whose API cannot.
        lost_start_hint: What the user can configure so that a run can be found after the response to its start was
            lost.
        partition_window_fields: The two fields that a time-window partition sets, or ``None``.
        sensitive_fields: Fields that may identify a person or contain a secret, and that are not needed to poll a run.
            They are not stored in the ledger of a deferred run.
        local_fields: Fields that are not sent to the vendor. Changing one does not make an active run a different run.
    """

    model_config = ConfigDict(
        protected_namespaces=(),  # pydantic before 2.10 warns about fields such as `model_refs`
        frozen=True,
        extra="forbid",
        hide_input_in_errors=False,
        # Ways to define a method. Without this, pydantic treats them as fields that lack an annotation.
        ignored_types=(partialmethod, type(lru_cache(lambda: None))),
    )

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        variable = variable_in(cls, values)
        if variable is not None:
            raise variable
        try:
            return validate(values)
        except ValidationError as error:
            raise explained(cls, error, secret=cls.sensitive_fields) from None

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, "..." if name in self.sensitive_fields else value

    vendor: ClassVar[str]
    label: ClassVar[str]
    resource_key: ClassVar[str]
    asset_kinds: ClassVar[frozenset[str]] = frozenset()
    data_checks: ClassVar[Mapping[str, str | DataCheck]] = {}
    default_timeout: ClassVar[float] = DAY
    gate_fields: ClassVar[frozenset[str]] = frozenset()
    manual_stop_hint: ClassVar[str] = ""
    lost_start_hint: ClassVar[str] = ""
    partition_window_fields: ClassVar[tuple[str, str] | None] = None
    sensitive_fields: ClassVar[frozenset[str]] = frozenset()
    local_fields: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuses a subclass that breaks the contract."""
        super().__pydantic_init_subclass__(**kwargs)
        check_run_class(cls)

    @property
    @abstractmethod
    def target(self) -> str:
        """The vendor's id of the object that is run."""

    @property
    def start_is_idempotent(self) -> bool:
        """Whether the vendor accepts the correlation id as an idempotency key, so that a start may be sent again."""
        return False

    @classmethod
    def defines(cls, method: str) -> bool:
        """Whether this kind of run defines a method that the contract makes optional."""
        return getattr(cls, method) is not getattr(RemoteRun, method)

    @classmethod
    def can_cancel(cls) -> bool:
        """Whether the vendor's API can cancel a run: whether `cancel` is defined."""
        return cls.defines("cancel")

    @classmethod
    def recognizes_listed_runs(cls) -> bool:
        """Whether a listed run can be matched to its target: whether `target_of_listed` is defined."""
        return cls.defines("target_of_listed")

    @classmethod
    def checks_depend_on_fields(cls) -> bool:
        """Whether the checks depend on the fields of a run: whether `declared_checks` is defined."""
        return cls.defines("declared_checks")

    def declared_checks(self) -> Mapping[str, str | DataCheck]:
        """Returns the checks on the data of this run, like `data_checks`, if they depend on its fields."""
        return self.data_checks

    def observation_problem(self) -> str | None:
        """Returns why runs that Dagster did not start cannot be matched to this run; ``None`` if they can be."""
        if self.recognizes_listed_runs():
            return None
        return (
            f"{self.vendor} offers no way to list {self.label}s, or {type(self).__name__} has no target_of_listed(). "
            "Leave this asset out of the observation sensor"
        )

    @property
    def cancel_caveat(self) -> str:
        """A sentence for users on what a cancellation at the vendor does not stop; empty if it stops everything."""
        return ""

    @abstractmethod
    def start(self, resource: ResourceT, attempt: StartAttempt) -> str:
        """Starts the run with a single request (`HttpClient.send_once`) and returns the vendor's id of the run.

        Raises:
            VendorError: The vendor refused the start, or the response was lost. ``may_have_been_accepted`` is true if
                the run may have been started.
        """

    @abstractmethod
    def fetch_status(self, resource: ResourceT, run_id: str) -> RunStatus:
        """Returns the current status of the run.

        Raises:
            VendorError: The status check failed, which says nothing about the run.
        """

    def send_start(self, resource: ResourceT, attempt: StartAttempt) -> str:
        """Like `start`, but checks the id, and turns an error of the vendor's code into a `VendorError`.

        Raises:
            VendorError: As for `start`. The run may have been started, also if the vendor's code is wrong.
        """
        with code.start_code(self, resource):
            return code.checked_run_id(self, self.start(resource, attempt))

    def get_status(self, resource: ResourceT, run_id: str) -> RunStatus:
        """Like `fetch_status`, but treats a run as unknown only if the API itself reports that.

        Raises:
            NotFoundError: The API reports that the run does not exist.
            VendorError: The status check failed, which says nothing about the run.
        """
        try:
            with vendor_code(self, resource, "fetch_status"):
                return code.checked_status(self, resource, "fetch_status", self.fetch_status(resource, run_id))
        except NotFoundError as error:
            # An active run must not be reported as lost because of a proxy's or a login page's 404.
            raise error if error.is_from_api else as_outage(error) from None

    def status_of_listed(self, resource: ResourceT, listed: ListedRun) -> RunStatus:
        """Returns the status of a listed run. For a finished run it contains all details, like `fetch_status`.

        Raises:
            VendorError: A further call was needed and failed.
        """
        return self.get_status(resource, listed.run_id)

    def get_status_of_listed(self, resource: ResourceT, listed: ListedRun) -> RunStatus:
        """Like `status_of_listed`, but turns a mistake of the vendor's code into a `VendorError`."""
        with vendor_code(self, resource, "status_of_listed"):
            return code.checked_status(self, resource, "status_of_listed", self.status_of_listed(resource, listed))

    @property
    def observed_target(self) -> str:
        """The value that `target_of_listed` returns for a listed run of this target."""
        return self.target

    def target_of_listed(self, resource: ResourceT, listed: ListedRun) -> str | None:
        """Returns the target of a listed run, which may have been started outside Dagster.

        Returns:
            Empty for another kind of run; ``None`` if the vendor does not report the target yet.

        Raises:
            VendorError: A further call was needed and failed.
        """
        return ""

    def get_target_of_listed(self, resource: ResourceT, listed: ListedRun) -> str | None:
        """Like `target_of_listed`, but turns a mistake of the vendor's code into a `VendorError`."""
        with vendor_code(self, resource, "target_of_listed"):
            return code.checked_target(self, self.target_of_listed(resource, listed))

    def fetch_progress(self, resource: ResourceT, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Returns metadata of an active run; empty if the vendor reports none.

        The keys are those of `fetch_result`. They are shown as ``vendor/progress/name``, so that Dagster does not plot
        the numbers of an active run as if they were results.
        """
        return {}

    def fetch_result(self, resource: ResourceT, run_id: str, status: RunStatus, gate: QualityGate | None) -> RunResult:
        """Returns the result of a finished run: an outcome for each check, and metadata.

        For a run that did not succeed, only the metadata and the checks with ``on_failure`` count.
        """
        return RunResult()

    def get_result(self, resource: ResourceT, run_id: str, status: RunStatus, gate: QualityGate | None) -> RunResult:
        """Like `fetch_result`, but with exactly the declared checks, and with metadata that fits a Dagster event."""
        with vendor_code(self, resource, "fetch_result"):
            result = code.checked_result(self, resource, self.fetch_result(resource, run_id, status, gate))
            return limited_result(with_declared_checks(self, result, succeeded=status.state is RunState.SUCCEEDED))

    def get_progress(self, resource: ResourceT, run_id: str, status: RunStatus) -> Mapping[str, Any]:
        """Like `fetch_progress`, but turns an error of the vendor's code into a `VendorError`."""
        with vendor_code(self, resource, "fetch_progress"):
            return code.checked_progress(self, resource, self.fetch_progress(resource, run_id, status))

    def cancel(self, resource: ResourceT, run_id: str) -> None:
        """Asks the vendor to cancel the run."""
        raise NotImplementedError(f"{self.vendor} cannot cancel {with_article(self.label)}")

    def find_started(self, resource: ResourceT, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Returns the runs that a start with a lost response may have started; ``None`` if the vendor lists no runs."""
        return None

    def get_started(self, resource: ResourceT, attempt: StartAttempt) -> Sequence[StartCandidate] | None:
        """Like `find_started`, but turns a mistake of the vendor's code into a `VendorError`."""
        with vendor_code(self, resource, "find_started"):
            return code.checked_candidates(self, self.find_started(resource, attempt))

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        """Whether the error of a refused start means that another run of the same target is active."""
        return False

    def run_url(self, resource: ResourceT, run_id: str) -> str | None:
        """Returns the URL of the vendor's page for the run."""
        return None

    def page_url(self, resource: ResourceT, run_id: str) -> str | None:
        """Like `run_url`, but a mistake in it costs only the link."""
        return code.page_of(self, resource, run_id)

    def in_window(self, start: datetime, end: datetime) -> Self:
        """Returns this run with the partition's time window, if it has window fields and none of them is set."""
        if self.partition_window_fields is None:
            return self
        fields = dict(zip(self.partition_window_fields, (start, end), strict=True))
        # If the user set the start or end of the window, or cleared it with null, the partition must not override it.
        if self.model_fields_set.intersection(fields):
            return self
        return self.with_overrides(fields, by="The partition")

    def with_fields(self, changes: Mapping[str, Any]) -> Self:
        """Returns a copy with changed values, validated like a new run."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**own, **changes})

    def to_payload(self) -> dict[str, Any]:
        """Returns the fields that are set, except sensitive ones, as JSON: enough to poll the run without its step."""
        kept = self.model_fields_set - self.sensitive_fields
        return self.model_dump(mode="json", include=set(kept))

    @classmethod
    def from_payload(cls, fields: Mapping[str, Any]) -> Self:
        """Recreates a run from the result of `to_payload`. It can be polled and canceled, but not started."""
        try:
            return cls.model_validate(fields)
        except ValidationError:  # required fields are missing because they are sensitive
            return cast("Self", cls.model_construct(**fields))

    def with_overrides(self, changes: Mapping[str, Any], *, by: str) -> Self:
        """Returns a copy with values that are known only at launch.

        Args:
            changes: The values, by field.
            by: The source of the values, for the error.

        Raises:
            dagster.Failure: The values are invalid. Not retried.
        """
        try:
            return self.with_fields(changes)
        except ValidationError as error:
            problems = problems_of(type(self), error)
            message = f"{by} does not make a valid {type(self).__name__}: {problems}. Nothing was started."
            raise dg.Failure(description=message, allow_retries=False) from None
