"""The base class of all simulated vendors. To add a vendor, add a module with a subclass."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dagster_runs.sandbox.behavior import Behavior, make_plan
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.exchange import ApiResponse, Call, Match, RefusedError, Route, Router
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.rates import RequestRate
from dagster_runs.sandbox.runs import Phase, Run, SandboxRun, Target


class Vendor(ABC):
    """A simulated server of one vendor: routes, targets and runs.

    It is used only by the server's event loop, never by another thread.

    Attributes:
        name: The name, as in `Sandbox.runs(vendor=...)`.
        mount: The first segment of its paths.
        title: The display name.
        base_path: The path of a client's base URL.
        logins: The credentials by their names, for the banner.
        run_kinds: The kinds of runs for each kind of target. The first one is the default.
        options: The options of `Behavior` that the vendor supports.
        replaces: For an option, the options of the target's defaults that it invalidates.
        state_field: The field of a response with the run's state.
        end_fields: The fields of a response with the run's end, in all spellings.
        credential_header: The header that contains the credentials.
        usual_settings: The defaults of the settings that `configure` can change.
        choices: The allowed values of options and settings.
    """

    name: str
    mount: str
    title: str
    base_path: str
    logins: ClassVar[Mapping[str, str]]
    run_kinds: ClassVar[Mapping[str, tuple[str, ...]]]
    options: ClassVar[frozenset[str]]
    replaces: ClassVar[Mapping[str, frozenset[str]]] = {}
    state_field: ClassVar[str] = "status"
    end_fields: ClassVar[tuple[str, ...]]
    credential_header: ClassVar[str] = "authorization"
    usual_settings: ClassVar[Mapping[str, Any]] = {}
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.targets: dict[str, Target] = {}
        self.runs: dict[str, Run] = {}
        self.rate = RequestRate()
        self.settings = self._fresh_settings()
        self.router = Router(self.routes())
        self.load_defaults()

    # --- implemented by each vendor

    @abstractmethod
    def routes(self) -> list[Route]:
        """Returns the endpoints. Paths start after the mount."""

    @abstractmethod
    def load_defaults(self) -> None:
        """Adds the default targets."""

    @abstractmethod
    def credentials(self, call: Call) -> Credentials:
        """Returns whether the request's credentials are valid, invalid or missing."""

    @abstractmethod
    def refuse_credentials(self, credentials: Credentials) -> ApiResponse:
        """Returns the response to a request with invalid or missing credentials."""

    @abstractmethod
    def word(self, run: Run, now: float) -> str:
        """Returns the vendor's status of the run."""

    @abstractmethod
    def new_id(self) -> str:
        """Returns an id for a new run."""

    @abstractmethod
    def end_value(self, field: str, now: float) -> Any:
        """Returns the current time in the vendor's format for one of `end_fields`."""

    @abstractmethod
    def error(self, status: int) -> ApiResponse:
        """Returns an error in the vendor's format."""

    def check_target(self, kind: str, target_id: str) -> str:
        """Returns the canonical form of a target's id.

        Raises:
            ValueError: The vendor would never issue such an id.
        """
        return target_id

    def refuse_request(self, call: Call) -> ApiResponse | None:
        """Returns the response to a request that all endpoints would refuse; None for an acceptable request."""
        return None

    def account(self, call: Call) -> str | None:
        """Returns the account that the rate limit applies to; None for a request that does not count."""
        return ""

    def named_in(self, call: Call) -> frozenset[str]:
        """Returns the targets that a request names, directly or by a run's id, in the path or in the body's fields."""
        try:
            body = json.loads(call.body) if call.body else None
        except ValueError:
            body = None
        fields = body.values() if isinstance(body, dict) else ()
        texts = {*call.segments, *(value for value in fields if isinstance(value, str))}
        runs = (self.runs[text].target_id for text in texts if text in self.runs)
        return frozenset({*(text for text in texts if text in self.targets), *runs})

    def not_found(self) -> ApiResponse:
        """Returns the response for an unknown run."""
        return self.error(404)

    def no_route(self, call: Call) -> ApiResponse:
        """Returns the response for an unknown path."""
        return self.error(404)

    def wrong_method(self, allowed: str) -> ApiResponse:
        """Returns the response for a path that supports only another method."""
        response = self.error(405)
        response.headers["Allow"] = allowed
        return response

    def give_state(self, body: dict[str, Any], word: str, *, ended: bool, now: float) -> bool:
        """Changes the state in a response, and adds or removes the end time.

        Returns:
            False if the response contains no state.
        """
        if self.state_field not in body:
            return False
        body[self.state_field] = word
        present = [field for field in self.end_fields if field in body]
        # A response may omit the end while the run is active. In this case, the first spelling is added.
        for field in present or (self.end_fields[:1] if ended else ()):
            body[field] = (body.get(field) or self.end_value(field, now)) if ended else None
        return True

    # --- the server's side

    def admit(self, call: Call, at: float) -> ApiResponse | None:
        """Counts a request, and returns the response if it exceeds the rate limit.

        Args:
            call: The request, whose body may not have been read yet.
            at: `time.monotonic()` at its arrival.
        """
        account = self.account(call)
        if account is None:
            return None
        limit = self.settings["requests_per_second"]
        return self.error(429) if self.rate.count(account, at) > (limit or math.inf) else None

    def answer(self, call: Call) -> ApiResponse:
        """Processes a request and returns the response."""
        found = self.router.find(call.method, call.segments)
        try:
            if isinstance(found, Match):
                credentials = self.credentials(call)
                if credentials != "valid" and not found.route.public:
                    return self.refuse_credentials(credentials)
                refusal = None if found.route.public else self.refuse_request(call)
                return refusal or found.route.handler(call, **found.parameters)
        except RefusedError as refused:
            return refused.answer
        return self.no_route(call) if found is None else self.wrong_method(found)

    def start(self, target: Target, *, kind: str | None = None, source: str = "api", body: Any = None) -> Run:
        """Starts a run of the target."""
        kinds = self.run_kinds[target.kind]
        if kind is not None and kind not in kinds:
            raise ValueError(f"{self.name} cannot run {kind} for a {target.kind}; it can run {', '.join(kinds)}")
        run = Run(
            id=self.new_id(),
            kind=kind or kinds[0],
            target_id=target.id,
            source=source,
            created_at=self.clock.now(),
            plan=make_plan(target.defaults, target.next_behavior(), replaces=self.replaces),
            body=body,
        )
        target.runs.append(run)
        self.runs[run.id] = run
        return run

    # --- a test's side

    def restore(self, known: SandboxRun, behavior: Behavior) -> Run:
        """Recreates a run of another sandbox with the same id."""
        if known.id in self.runs:
            raise ValueError(f"{self.name} already has a run {known.id}")
        target = self.targets[known.target_id]
        kinds = self.run_kinds[target.kind]
        if known.kind not in kinds:
            raise ValueError(f"{self.name} cannot run {known.kind} for a {target.kind}; it can run {', '.join(kinds)}")
        self.check_options(behavior)
        run = Run(
            id=known.id,
            kind=known.kind,
            target_id=target.id,
            source=known.source,
            created_at=known.created_at,
            plan=make_plan(target.defaults, behavior, replaces=self.replaces),
            body=known.body,
            cancel_requested_at=known.cancel_requested_at,
        )
        # Lists use the order of these collections, which must be the order of creation.
        target.runs = sorted([*target.runs, run], key=lambda one: one.created_at)
        self.runs = dict(sorted([*self.runs.items(), (run.id, run)], key=lambda item: item[1].created_at))
        return run

    def reset(self) -> None:
        """Deletes everything except the defaults."""
        self.targets.clear()
        self.runs.clear()
        self.rate = RequestRate()
        self.settings = self._fresh_settings()
        self.load_defaults()

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
                f"{self.name} has no targets of kind {kind}; its kinds of targets are {', '.join(self.run_kinds)}"
            )
        self.check_options(defaults)
        target_id = self.check_target(kind, target_id)
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
            state=self.word(run, now),
            created_at=run.created_at,
            started_at=run.started_at(now),
            ended_at=run.ended_at(now),
            cancel_requested_at=run.cancel_requested_at,
            body=run.body,
        )

    def is_active(self, run: Run) -> bool:
        """Whether the run is active."""
        return run.phase(self.clock.now()) is not Phase.ENDED

    def _fresh_settings(self) -> dict[str, Any]:
        return {"requests_per_second": None, **self.usual_settings}

    def _check_choices(self, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            allowed = self.choices.get(name)
            # Compares one by one, with the type, because JSON has no tuples, and 1 must not count as True.
            if allowed is not None and not any(type(one) is type(value) and one == value for one in allowed):
                raise ValueError(f"{name} must be {' or '.join(str(one) for one in allowed)}, got {value!r}")


def gateway_error(status: int, reason: str) -> ApiResponse:
    """Returns the error page of a proxy in front of a server that does not respond."""
    title = f"{status} {reason}"
    body = f"<center><h1>{title}</h1></center>\n<hr><center>nginx</center>"
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n{body}\n</body>\n</html>\n"
    return ApiResponse(status, page, content_type="text/html")
