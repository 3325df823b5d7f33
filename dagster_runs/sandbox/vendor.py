"""What the stand-ins of all vendors have in common. A new vendor is a subclass in a module of its own."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dagster_runs.sandbox.behaviour import Behaviour, make_plan
from dagster_runs.sandbox.clock import Clock
from dagster_runs.sandbox.exchange import ApiResponse, Call, Match, RefusedError, Route, Router
from dagster_runs.sandbox.log import Credentials
from dagster_runs.sandbox.rates import RequestRate
from dagster_runs.sandbox.runs import Phase, Run, SandboxRun, Target


class Vendor(ABC):
    """The stand-in of one vendor's server: routes, targets and runs.

    It lives on the server's event loop and is never touched from another thread.

    Attributes:
        name: As in `Sandbox.runs(vendor=...)`.
        mount: The first part of its paths.
        title: For people.
        base_path: What a client's base URL ends in.
        logins: Credentials by what they are, for the banner.
        run_kinds: By kind of target, what can be run of it; the first is the default.
        options: The options of `Behaviour` that it knows.
        replaces: Options that push aside others of the target's defaults.
        state_field: The field of an answer with the run's state.
        end_fields: The fields of an answer with the run's end, by their spellings.
        credential_header: The header that its credentials come in.
        usual_settings: What `configure` can change for the vendor as a whole, and how it is without.
        choices: The values that options and settings are limited to.
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

    # --- what a vendor says of itself

    @abstractmethod
    def routes(self) -> list[Route]:
        """Its endpoints; paths start after the mount."""

    @abstractmethod
    def load_defaults(self) -> None:
        """Add the targets that are there from the start."""

    @abstractmethod
    def credentials(self, call: Call) -> Credentials:
        """What the request's credentials are worth."""

    @abstractmethod
    def refuse_credentials(self, credentials: Credentials) -> ApiResponse:
        """The answer to a request with wrong credentials or none."""

    @abstractmethod
    def word(self, run: Run, now: float) -> str:
        """The vendor's word for the run's state."""

    @abstractmethod
    def new_id(self) -> str:
        """An id for a new run."""

    @abstractmethod
    def end_value(self, field: str, now: float) -> Any:
        """A time of now, as the vendor writes it in one of `end_fields`."""

    @abstractmethod
    def error(self, status: int) -> ApiResponse:
        """An error as the vendor would word it."""

    def check_target(self, kind: str, target_id: str) -> str:
        """Refuse with `ValueError` an id that the vendor would never give out, else return how it is kept."""
        return target_id

    def refuse_request(self, call: Call) -> ApiResponse | None:
        """The answer to a request with good credentials that no endpoint would take, if it is one."""
        return None

    def account(self, call: Call) -> str | None:
        """Whose requests a rate limit counts together; None for a request that it does not count."""
        return ""

    def named_in(self, call: Call) -> frozenset[str]:
        """The targets that a request names, themselves or by a run of theirs, in the path or in the body's fields."""
        try:
            body = json.loads(call.body) if call.body else None
        except ValueError:
            body = None
        fields = body.values() if isinstance(body, dict) else ()
        texts = {*call.segments, *(value for value in fields if isinstance(value, str))}
        runs = (self.runs[text].target_id for text in texts if text in self.runs)
        return frozenset({*(text for text in texts if text in self.targets), *runs})

    def not_found(self) -> ApiResponse:
        """The answer where there is no such run."""
        return self.error(404)

    def no_route(self, call: Call) -> ApiResponse:
        """The answer where there is no endpoint."""
        return self.error(404)

    def wrong_method(self, allowed: str) -> ApiResponse:
        """The answer where there is one for another method."""
        answer = self.error(405)
        answer.headers["Allow"] = allowed
        return answer

    def give_state(self, body: dict[str, Any], word: str, *, ended: bool, now: float) -> bool:
        """Put a word for the run's state into an answer, and an end with it or none; False if it tells no state."""
        if self.state_field not in body:
            return False
        body[self.state_field] = word
        present = [field for field in self.end_fields if field in body]
        # An answer may leave the end out until there is one; then it gets the first spelling.
        for field in present or (self.end_fields[:1] if ended else ()):
            body[field] = (body.get(field) or self.end_value(field, now)) if ended else None
        return True

    # --- the server's side

    def admit(self, call: Call, at: float) -> ApiResponse | None:
        """Count a request that came at this real time; the answer to one too many.

        Args:
            call: The request, its body perhaps not yet read.
            at: `time.monotonic()` at its arrival.
        """
        account = self.account(call)
        if account is None:
            return None
        limit = self.settings["requests_per_second"]
        return self.error(429) if self.rate.count(account, at) > (limit or math.inf) else None

    def answer(self, call: Call) -> ApiResponse:
        """Do what the request asks."""
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
        """Begin a run of the target."""
        kinds = self.run_kinds[target.kind]
        if kind is not None and kind not in kinds:
            raise ValueError(f"{self.name} cannot run {kind} of a {target.kind}; it can run {', '.join(kinds)}")
        run = Run(
            id=self.new_id(),
            kind=kind or kinds[0],
            target_id=target.id,
            source=source,
            created_at=self.clock.now(),
            plan=make_plan(target.defaults, target.next_behaviour(), replaces=self.replaces),
            body=body,
        )
        target.runs.append(run)
        self.runs[run.id] = run
        return run

    # --- a test's side

    def restore(self, known: SandboxRun, behaviour: Behaviour) -> Run:
        """Make a run that another sandbox had, under the same id."""
        if known.id in self.runs:
            raise ValueError(f"{self.name} has a run {known.id} already")
        target = self.targets[known.target_id]
        kinds = self.run_kinds[target.kind]
        if known.kind not in kinds:
            raise ValueError(f"{self.name} cannot run {known.kind} of a {target.kind}; it can run {', '.join(kinds)}")
        self.check_options(behaviour)
        run = Run(
            id=known.id,
            kind=known.kind,
            target_id=target.id,
            source=known.source,
            created_at=known.created_at,
            plan=make_plan(target.defaults, behaviour, replaces=self.replaces),
            body=known.body,
            cancel_requested_at=known.cancel_requested_at,
        )
        # Runs are listed in the order in which they are kept, which is that of their creation.
        target.runs = sorted([*target.runs, run], key=lambda one: one.created_at)
        self.runs = dict(sorted([*self.runs.items(), (run.id, run)], key=lambda item: item[1].created_at))
        return run

    def reset(self) -> None:
        """Forget everything but the defaults."""
        self.targets.clear()
        self.runs.clear()
        self.rate = RequestRate()
        self.settings = self._fresh_settings()
        self.load_defaults()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Change how the vendor as a whole behaves."""
        unknown = set(settings) - set(self.settings)
        if unknown:
            raise ValueError(
                f"{self.name} has no setting {', '.join(sorted(unknown))}; it has {', '.join(sorted(self.settings))}"
            )
        self._check_choices(settings)
        limit = settings.get("requests_per_second")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"requests_per_second must be a whole number of at least 1, or None, got {limit!r}")
        self.settings.update(settings)

    def add_target(self, kind: str, target_id: str, defaults: Behaviour, **fields: Any) -> Target:
        """Make something that can be run; it replaces another of the same id."""
        if kind not in self.run_kinds:
            raise ValueError(f"{self.name} has no {kind}; it has {', '.join(self.run_kinds)}")
        self.check_options(defaults)
        target_id = self.check_target(kind, target_id)
        target = Target(id=target_id, kind=kind, defaults=defaults, fields=fields)
        self.targets[target_id] = target
        return target

    def set_behaviours(self, target_id: str, behaviours: Sequence[Behaviour]) -> None:
        """Say how the next runs of a target go."""
        for behaviour in behaviours:
            self.check_options(behaviour)
        self.targets[target_id].behaviours = list(behaviours)

    def check_options(self, behaviour: Behaviour) -> None:
        """Refuse with `ValueError` what the vendor does not know."""
        unknown = set(behaviour.options) - self.options
        if unknown:
            raise ValueError(
                f"{self.name} does not know {', '.join(sorted(unknown))}; it knows {', '.join(sorted(self.options))}"
            )
        self._check_choices(behaviour.options)

    def snapshot(self, run: Run) -> SandboxRun:
        """The run as it is now."""
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
        """Whether it has not ended."""
        return run.phase(self.clock.now()) is not Phase.ENDED

    def _fresh_settings(self) -> dict[str, Any]:
        return {"requests_per_second": None, **self.usual_settings}

    def _check_choices(self, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            allowed = self.choices.get(name)
            # JSON has no tuples, and 1 is not True.
            if allowed is not None and not any(type(one) is type(value) and one == value for one in allowed):
                raise ValueError(f"{name} must be {' or '.join(str(one) for one in allowed)}, got {value!r}")


def gateway_error(status: int, reason: str) -> ApiResponse:
    """The page of a proxy in front of a server that does not answer."""
    title = f"{status} {reason}"
    body = f"<center><h1>{title}</h1></center>\n<hr><center>nginx</center>"
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n{body}\n</body>\n</html>\n"
    return ApiResponse(status, page, content_type="text/html")
