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
from dagster_runs.vendors.segmentflow.models import JourneyRun
from dagster_runs.vendors.segmentflow.resource import SegmentflowResource

_WORDS = {
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
        raise ValueError(f"this cannot be written as JSON: {error}") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_as_json)]


def _no_address(text: Any) -> Any:
    if isinstance(text, str) and is_address(text, of_a_name=True):
        raise ValueError("this is the address of a page; write the journey's key alone, or its UUID as journey_id")
    return text


JourneyKey = Annotated[str, StringConstraints(min_length=1, max_length=120), BeforeValidator(_no_address)]


class SegmentflowJourneyRun(RemoteRun[SegmentflowResource]):
    """One run of an API-entry journey, for one recipient.

    Args:
        journey_id: The journey's id, a UUID: the older trigger.
        journey_key: Instead, the journey's key: the newer trigger, whose answer cannot be lost (idempotency key).
        recipient: Who goes through the journey: ``{"email": …}``, ``userId`` or ``anonymousId``; with a key also
            ``externalId`` and ``properties``.
        variables: Values for the journey's templates.
        on_exited: What it means that the recipient left the journey before its end: ``"fail"`` (default, since nobody
            documents it as a success) or ``"succeed"``, for journeys that are meant to be left, as by a purchase.

    Journeys contain waits, so a run may take days; it cannot be cancelled. Source: https://segmentflow.ai/docs/.
    """

    vendor: ClassVar[str] = "Segmentflow"
    label: ClassVar[str] = "journey run"
    resource_key: ClassVar[str] = "segmentflow"
    asset_kinds: ClassVar[frozenset[str]] = frozenset({"segmentflow"})
    default_timeout: ClassVar[float] = 30 * DAY
    sensitive_fields: ClassVar[frozenset[str]] = frozenset({"recipient", "variables"})
    local_fields: ClassVar[frozenset[str]] = frozenset({"on_exited"})
    manual_stop_hint: ClassVar[str] = "If it must not go on, stop the journey at https://dashboard.segmentflow.ai."

    journey_id: Uuid | None = None
    journey_key: JourneyKey | None = None
    recipient: JsonObject = Field(min_length=1)
    variables: JsonObject = Field(default_factory=dict)
    on_exited: Literal["fail", "succeed"] = "fail"

    @model_validator(mode="after")
    def _one_journey_and_somebody(self) -> Self:
        if (self.journey_id is None) == (self.journey_key is None):
            raise ValueError("give journey_id or journey_key, one of them")
        named_by = "journey_id" if self.journey_key is None else "journey_key"
        identities = _IDENTITIES[named_by]
        for name, value in self.recipient.items():
            if name == _PROPERTIES and self.journey_key is not None:
                if not isinstance(value, dict):
                    raise ValueError(f"recipient.properties is an object of values, not {value!r}")
            elif name not in identities:
                raise ValueError(f"recipient has no field {name!r}; with {named_by} it has {', '.join(identities)}")
            elif not isinstance(value, str):
                raise ValueError(f"recipient.{name} is a text, not {value!r}")
        if not any(self.recipient.get(name, "").strip() for name in identities):
            raise ValueError(f"recipient has none of {', '.join(identities)}, so nobody is meant")
        return self

    @property
    def target(self) -> str:
        """The journey's id or key."""
        return self.journey_id or self.journey_key or ""

    @property
    def start_is_idempotent(self) -> bool:
        """The newer trigger takes an idempotency key."""
        return self.journey_key is not None

    def start(self, resource: SegmentflowResource, attempt: StartAttempt) -> str:
        """POST the trigger of the generation that the journey is named in."""
        variables = {"variables": self.variables} if self.variables else {}
        if self.journey_key is not None:
            body = {"profile": self.recipient, **variables}
            return resource.trigger_journey_by_key(self.journey_key, body, idempotency_key=attempt.correlation_id)
        return resource.trigger_journey(self.target, {"recipient": self.recipient, **variables})

    def fetch_status(self, resource: SegmentflowResource, run_id: str) -> RunStatus:
        """GET the run."""
        answer = resource.get_journey_run(run_id)
        exited = RunState.SUCCEEDED if self.on_exited == "succeed" else RunState.FAILED
        state, error = parse_state(answer.status, {**_WORDS, _EXITED: exited}), answer.error
        left_early = state is RunState.FAILED and parse_state(answer.status, _WORDS) is not state
        if left_early:
            error = error or "the recipient left the journey before its end (on_exited='succeed' accepts that)"
        return RunStatus(
            state=state,
            vendor_status=answer.status,
            error=error,
            # Triggered is taken on; when it began to work, Segmentflow does not tell.
            created_at=answer.triggered_at,
            finished_at=answer.completed_at,
            # Whoever has left by a purchase, say, is not to be sent through the journey once more.
            is_retryable=not left_early,
            raw=answer,
        )

    def fetch_result(
        self, resource: SegmentflowResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """The ids of journey, profile and workflow, to look the run up with."""
        answer: JourneyRun = status.raw
        ids = {"journey_id": answer.journey_id, "profile_id": answer.profile_id, "workflow_id": answer.workflow_id}
        return RunResult({f"segmentflow/{name}": value for name, value in ids.items() if value})
