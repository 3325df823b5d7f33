"""One recipient's run through a Segmentflow journey."""

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from typing_extensions import Self

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.field_types import Uuid, is_address
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus, parse_state
from dagster_runs.remote_run.types import DAY, RunResult, StartAttempt
from dagster_runs.remote_run.wording import with_article
from dagster_runs.vendors.segmentflow.models import JourneyRun
from dagster_runs.vendors.segmentflow.resource import SegmentflowResource

_STATES = {
    "queued": RunState.QUEUED,
    "running": RunState.RUNNING,
    "completed": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
}
_EXITED = "exited"
_IDENTITIES = {
    "journey_id": ("email", "userId", "anonymousId"),
    "journey_key": ("email", "externalId", "userId", "anonymousId"),
}
_PROPERTIES = "properties"


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this value cannot be serialized as JSON: {error}") from None
    return value


def _kind(value: Any) -> str:
    # The value itself may identify a person, and the error of a launch is stored with the Dagster run.
    return "None" if value is None else with_article(type(value).__name__)


JsonObject = Annotated[dict[str, Any], AfterValidator(_as_json)]


def _no_address(text: Any) -> Any:
    if isinstance(text, str) and is_address(text, of_a_name=True):
        raise ValueError("this is the URL of a page; enter only the journey's key, or set journey_id to its UUID")
    return text


JourneyKey = Annotated[str, StringConstraints(min_length=1, max_length=120), BeforeValidator(_no_address)]


class SegmentflowJourneyRun(RemoteRun[SegmentflowResource]):
    """One run of an API-entry journey, for one recipient.

    Args:
        journey_id: The journey's id, a UUID. Uses the older trigger.
        journey_key: The journey's key, in place of ``journey_id``. Uses the newer trigger, which takes an idempotency
            key, so that a lost response is harmless.
        recipient: The recipient: ``{"email": …}``, ``userId`` or ``anonymousId``; with ``journey_key`` also
            ``externalId`` and ``properties``.
        variables: Values for the journey's templates.
        on_exited: How to treat a run whose recipient left the journey before its end. ``"fail"`` (default, since the
            documentation does not call it a success), or ``"succeed"`` for journeys that recipients are meant to leave,
            e.g. by a purchase.

    Journeys contain waits, so a run may take days. It cannot be canceled. Source: https://segmentflow.ai/docs/.
    """

    vendor: ClassVar[str] = "Segmentflow"
    label: ClassVar[str] = "journey run"
    resource_key: ClassVar[str] = "segmentflow"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"segmentflow"})
    default_timeout: ClassVar[float] = 30 * DAY
    sensitive_fields: ClassVar[frozenset[str]] = frozenset({"recipient", "variables"})
    local_fields: ClassVar[frozenset[str]] = frozenset({"on_exited"})
    manual_stop_hint: ClassVar[str] = "To stop it, stop the journey at https://dashboard.segmentflow.ai."

    journey_id: Uuid | None = None
    journey_key: JourneyKey | None = None
    recipient: JsonObject = Field(min_length=1)
    variables: JsonObject = Field(default_factory=dict)
    on_exited: Literal["fail", "succeed"] = "fail"

    @model_validator(mode="after")
    def _has_journey_and_recipient(self) -> Self:
        if (self.journey_id is None) == (self.journey_key is None):
            raise ValueError("set exactly one of journey_id and journey_key")
        named_by = "journey_id" if self.journey_key is None else "journey_key"
        identities = _IDENTITIES[named_by]
        for name, value in self.recipient.items():
            if name == _PROPERTIES and self.journey_key is not None:
                if not isinstance(value, dict):
                    raise ValueError(f"recipient.properties must be a dict, not {_kind(value)}")
            elif name not in identities:
                raise ValueError(
                    f"recipient has no field {name!r}; with {named_by} its fields are {', '.join(identities)}"
                )
            elif not isinstance(value, str):
                raise ValueError(f"recipient.{name} must be a string, not {_kind(value)}")
        if not any(self.recipient.get(name, "").strip() for name in identities):
            raise ValueError(f"recipient identifies no one; set at least one of {', '.join(identities)}")
        return self

    @property
    def target(self) -> str:
        """The journey's id or key."""
        return self.journey_id or self.journey_key or ""

    @property
    def start_is_idempotent(self) -> bool:
        """True for the newer trigger, which takes an idempotency key."""
        return self.journey_key is not None

    def start(self, resource: SegmentflowResource, attempt: StartAttempt) -> str:
        """Uses the newer trigger for ``journey_key``, and the older one for ``journey_id``."""
        variables = {"variables": self.variables} if self.variables else {}
        if self.journey_key is not None:
            body = {"profile": self.recipient, **variables}
            return resource.trigger_journey_by_key(self.journey_key, body, idempotency_key=attempt.correlation_id)
        return resource.trigger_journey(self.target, {"recipient": self.recipient, **variables})

    def fetch_status(self, resource: SegmentflowResource, run_id: str) -> RunStatus:
        """Fetches the run."""
        response = resource.get_journey_run(run_id)
        exited = RunState.SUCCEEDED if self.on_exited == "succeed" else RunState.FAILED
        state, error = parse_state(response.status, {**_STATES, _EXITED: exited}), response.error
        left_early = state is RunState.FAILED and parse_state(response.status, _STATES) is not state
        if left_early:
            error = error or "the recipient left the journey before its end (on_exited='succeed' accepts that)"
        return RunStatus(
            state=state,
            vendor_status=response.status,
            error=error,
            # The trigger time is when Segmentflow accepted the run. It does not report when the run started.
            created_at=response.triggered_at,
            finished_at=response.completed_at,
            # A recipient who left the journey, e.g. by a purchase, must not be sent through it again.
            is_retryable=not left_early,
            raw=response,
        )

    def fetch_result(
        self, resource: SegmentflowResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the ids of the journey, the profile and the workflow, for finding the run in Segmentflow."""
        run: JourneyRun = status.raw
        ids = {"journey_id": run.journey_id, "profile_id": run.profile_id, "workflow_id": run.workflow_id}
        return RunResult({f"segmentflow/{name}": value for name, value in ids.items() if value})
