"""The base class of all simulated vendors.

To simulate a vendor of your own, derive a class that has `statuses` and the attributes without a default, and defines
`routes` and `add_default_targets`. Everything else has a default that suits a plain JSON API.
"""

from __future__ import annotations

import json
import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from dagster_runs.sandbox.behavior import Behavior, make_plan
from dagster_runs.sandbox.clock import Clock, to_utc
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, Match, RejectedError, Route, Router
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.rates import RequestRate
from dagster_runs.sandbox.runs import Phase, Run, SandboxRun, Target


class Vendor(ABC):
    """A simulated server of one vendor: routes, targets and runs.

    It is used only by the server's event loop, never by another thread.

    Attributes:
        name: The name, as in `Sandbox.runs(vendor=...)`.
        mount: The first segment of its paths. Defaults to the name.
        title: The display name. Defaults to the name.
        base_path: The path of a client's base URL. Defaults to the mount.
        credentials: The value that `credential_header` must have, for the default of `check_credentials`.
        connection_info: The credentials and ids that a client needs, by their names, for the banner.
        run_kinds: The kinds of runs for each kind of target. The first one is the default.
        options: The options of `Behavior` that the vendor supports.
        invalidates: For an option, the options of the target's defaults that it invalidates.
        statuses: The vendor's status of a run that is `queued` or `running`, and of one that ended with the outcome
            `succeed`, `fail` or `cancel`, for the default of `run_status`.
        state_field: The field of a response with the run's state.
        end_fields: The fields of a response with the run's end, in all spellings.
        credential_header: The header that contains the credentials.
        default_settings: The defaults of the settings that `configure` can change.
        choices: The allowed values of options and settings.
    """

    name: str
    mount: str = ""
    title: str = ""
    base_path: str = ""
    credentials: ClassVar[str] = ""
    connection_info: ClassVar[Mapping[str, str]] = {}
    run_kinds: ClassVar[Mapping[str, tuple[str, ...]]]
    options: ClassVar[frozenset[str]] = frozenset()
    invalidates: ClassVar[Mapping[str, frozenset[str]]] = {}
    statuses: ClassVar[Mapping[str, str]] = {}
    state_field: ClassVar[str] = "status"
    end_fields: ClassVar[tuple[str, ...]]
    credential_header: ClassVar[str] = "authorization"
    default_settings: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.mount = self.mount or self.name
        self.title = self.title or self.name
        self.base_path = self.base_path or f"/{self.mount}"
        self.targets: dict[str, Target] = {}
        self.runs: dict[str, Run] = {}
        self.request_rate = RequestRate()
        self.settings = self._initial_settings()
        self.router = Router(self.routes())
        self.add_default_targets()

    # --- implemented by each vendor

    @abstractmethod
    def routes(self) -> list[Route]:
        """Returns the endpoints. Paths start after the mount."""

    @abstractmethod
    def add_default_targets(self) -> None:
        """Adds the targets that exist from the beginning, with `add_target`."""

    def run_status(self, run: Run, now: float) -> str:
        """Returns the vendor's status of the run."""
        phase = run.phase(now)
        if phase is Phase.HELD:
            return str(run.plan.hold)
        if phase is Phase.ENDED:
            return self.statuses[run.outcome]
        return self.statuses["queued" if phase is Phase.QUEUED else "running"]

    def check_credentials(self, request: ApiRequest) -> Credentials:
        """Returns whether the request's credentials are valid, invalid or missing."""
        sent = request.headers.get(self.credential_header)
        if not sent:
            return "missing"
        return "valid" if sent == self.credentials else "invalid"

    def unauthorized(self, credentials: Credentials) -> ApiResponse:
        """Returns the response to a request with invalid or missing credentials."""
        return self.error_response(401)

    def generate_id(self) -> str:
        """Generates an id for a new run."""
        return str(uuid.uuid4())

    def format_end_time(self, field: str, now: float) -> Any:
        """Formats the current time like the vendor, for one of `end_fields`."""
        return to_utc(now).isoformat()

    def error_response(self, status: int) -> ApiResponse:
        """Returns an error in the vendor's format."""
        reason = HTTPStatus(status).phrase
        return gateway_error(status, reason) if status in (502, 503, 504) else ApiResponse(status, {"message": reason})

    def normalize_target_id(self, kind: str, target_id: str) -> str:
        """Returns the canonical form of a target's id.

        Raises:
            ValueError: The vendor would never issue such an id.
        """
        return target_id

    def validate_request(self, request: ApiRequest) -> ApiResponse | None:
        """Returns the response to a request that every endpoint would reject; None for an acceptable request."""
        return None

    def account_of(self, request: ApiRequest) -> str | None:
        """Returns the account that the rate limit applies to; None for a request that does not count."""
        return ""

    def targets_in(self, request: ApiRequest) -> frozenset[str]:
        """Returns the targets that a request names, directly or by a run's id, in the path or in the body's fields."""
        try:
            body = json.loads(request.body) if request.body else None
        except ValueError:
            body = None
        fields = body.values() if isinstance(body, dict) else ()
        texts = {*request.segments, *(value for value in fields if isinstance(value, str))}
        runs = (self.runs[text].target_id for text in texts if text in self.runs)
        return frozenset({*(text for text in texts if text in self.targets), *runs})

    def run_not_found(self) -> ApiResponse:
        """Returns the response for an unknown run."""
        return self.error_response(404)

    def route_not_found(self, request: ApiRequest) -> ApiResponse:
        """Returns the response for an unknown path."""
        return self.error_response(404)

    def method_not_allowed(self, allowed: str) -> ApiResponse:
        """Returns the response for a path that supports only another method."""
        response = self.error_response(405)
        response.headers["Allow"] = allowed
        return response

    def set_state(self, body: dict[str, Any], state: str, *, ended: bool, now: float) -> bool:
        """Changes the state in a response, and adds or removes the end time.

        Returns:
            False if the response contains no state.
        """
        if self.state_field not in body:
            return False
        body[self.state_field] = state
        present = [field for field in self.end_fields if field in body]
        # A response may omit the end while the run is active. In this case, the first spelling is added.
        for field in present or (self.end_fields[:1] if ended else ()):
            body[field] = (body.get(field) or self.format_end_time(field, now)) if ended else None
        return True

    # --- used by the server

    def check_rate_limit(self, request: ApiRequest, arrived_at: float) -> ApiResponse | None:
        """Counts a request, and returns the response if it exceeds the rate limit.

        Args:
            request: The request, whose body may not have been read yet.
            arrived_at: `time.monotonic()` at its arrival.
        """
        account = self.account_of(request)
        if account is None:
            return None
        limit = self.settings["requests_per_second"]
        return self.error_response(429) if self.request_rate.record(account, arrived_at) > (limit or math.inf) else None

    def handle(self, request: ApiRequest) -> ApiResponse:
        """Processes a request and returns the response."""
        match = self.router.find(request.method, request.segments)
        try:
            if isinstance(match, Match):
                credentials = self.check_credentials(request)
                if credentials != "valid" and not match.route.public:
                    return self.unauthorized(credentials)
                rejection = None if match.route.public else self.validate_request(request)
                return rejection or match.route.handler(request, **match.parameters)
        except RejectedError as error:
            return error.response
        return self.route_not_found(request) if match is None else self.method_not_allowed(match)

    def start_run(self, target: Target, *, kind: str | None = None, source: str = "api", body: Any = None) -> Run:
        """Starts a run of the target."""
        kinds = self.run_kinds[target.kind]
        if kind is not None and kind not in kinds:
            raise ValueError(f"{self.name} cannot run {kind} for a {target.kind}; it can run {', '.join(kinds)}")
        run = Run(
            id=self.generate_id(),
            kind=kind or kinds[0],
            target_id=target.id,
            source=source,
            created_at=self.clock.now(),
            plan=make_plan(target.defaults, target.next_behavior(), invalidates=self.invalidates),
            body=body,
        )
        target.runs.append(run)
        self.runs[run.id] = run
        return run

    # --- used by the controls

    def restore_run(self, snapshot: SandboxRun, behavior: Behavior) -> Run:
        """Recreates a run of another sandbox with the same id."""
        if snapshot.id in self.runs:
            raise ValueError(f"{self.name} already has a run {snapshot.id}")
        target = self.targets[snapshot.target_id]
        kinds = self.run_kinds[target.kind]
        if snapshot.kind not in kinds:
            raise ValueError(
                f"{self.name} cannot run {snapshot.kind} for a {target.kind}; it can run {', '.join(kinds)}"
            )
        self.check_options(behavior)
        run = Run(
            id=snapshot.id,
            kind=snapshot.kind,
            target_id=target.id,
            source=snapshot.source,
            created_at=snapshot.created_at,
            plan=make_plan(target.defaults, behavior, invalidates=self.invalidates),
            body=snapshot.body,
            cancel_requested_at=snapshot.cancel_requested_at,
        )
        # Lists use the order of these collections, which must be the order of creation.
        target.runs = sorted([*target.runs, run], key=lambda run: run.created_at)
        self.runs = dict(sorted([*self.runs.items(), (run.id, run)], key=lambda item: item[1].created_at))
        return run

    def reset(self) -> None:
        """Deletes everything except the defaults."""
        self.targets.clear()
        self.runs.clear()
        self.request_rate = RequestRate()
        self.settings = self._initial_settings()
        self.add_default_targets()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Changes the vendor's settings."""
        unknown = set(settings) - set(self.settings)
        if unknown:
            known = ", ".join(sorted(self.settings))
            raise ValueError(f"{self.name} has no setting {', '.join(sorted(unknown))}; its settings are {known}")
        self._check_choices(settings)
        limit = settings.get("requests_per_second")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"requests_per_second must be an integer of at least 1, or None, got {limit!r}")
        self.settings.update(settings)

    def add_target(self, kind: str, target_id: str, defaults: Behavior, **fields: Any) -> Target:
        """Adds a target, and replaces an existing target with the same id."""
        if kind not in self.run_kinds:
            raise ValueError(
                f"{self.name} has no targets of kind {kind}; the kinds of targets are  {', '.join(self.run_kinds)}"
            )
        self.check_options(defaults)
        target_id = self.normalize_target_id(kind, target_id)
        target = Target(id=target_id, kind=kind, defaults=defaults, fields=fields)
        self.targets[target_id] = target
        return target

    def set_behaviors(self, target_id: str, behaviors: Sequence[Behavior]) -> None:
        """Sets the behavior of a target's next runs."""
        for behavior in behaviors:
            self.check_options(behavior)
        self.targets[target_id].behaviors = list(behaviors)

    def check_options(self, behavior: Behavior) -> None:
        """Checks the options of a behavior.

        Raises:
            ValueError: The vendor does not support an option or its value.
        """
        unknown = set(behavior.options) - self.options
        if unknown:
            known = ", ".join(sorted(self.options))
            raise ValueError(
                f"{self.name} does not support {', '.join(sorted(unknown))}; the supported options are {known}"
            )
        self._check_choices(behavior.options)

    def snapshot(self, run: Run) -> SandboxRun:
        """Returns a snapshot of the run."""
        now = self.clock.now()
        return SandboxRun(
            id=run.id,
            vendor=self.name,
            kind=run.kind,
            target_id=run.target_id,
            source=run.source,
            state=self.run_status(run, now),
            created_at=run.created_at,
            started_at=run.started_at(now),
            ended_at=run.ended_at(now),
            cancel_requested_at=run.cancel_requested_at,
            body=run.body,
        )

    def is_active(self, run: Run) -> bool:
        """Whether the run is active."""
        return run.phase(self.clock.now()) is not Phase.ENDED

    def _initial_settings(self) -> dict[str, Any]:
        return {"requests_per_second": None, **self.default_settings}

    def _check_choices(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            allowed = self.choices.get(name)
            # Compares the types too, because `1 == True` in Python.
            if allowed is not None and not any(type(choice) is type(value) and choice == value for choice in allowed):
                raise ValueError(f"{name} must be {' or '.join(str(choice) for choice in allowed)}, got {value!r}")


def gateway_error(status: int, reason: str) -> ApiResponse:
    """Returns the error page of a proxy in front of a server that does not respond."""
    title = f"{status} {reason}"
    body = f"<center><h1>{title}</h1></center>\n<hr><center>nginx</center>"
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n{body}\n</body>\n</html>\n"
    return ApiResponse(status, page, content_type="text/html")
