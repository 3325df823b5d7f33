"""Connection to an Amperity tenant, and its calls."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, PrivateAttr

from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.response_models import EachReadable
from dagster_runs.remote_run.settings import OptionalNumber
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth, HeaderAuth, RenewedToken, shared_token
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.oauth import exchanged_token
from dagster_runs.transport.url import check_base_url, trimmed
from dagster_runs.vendors.amperity.models import PartOfWorkflow, StartedWorkflow, Workflow, WorkflowPage

_MAX_PAGES = 50
_ENDED_STATES = ("failed", "canceled", "stopped")
_LISTED_STATES = (
    *("scheduled", "started", "in progress", "in-progress", "in_progress", "running", "paused"),
    *("running with failures", "running-with-failures", "running_with_failures"),
    *("stopping", "canceling", *_ENDED_STATES),
)
"""The specification gives the filter a default, `succeeded`. Whether servers apply it is not said, nor how they spell
states of several words: so where the list could be one of successes only, ask for each."""
_LISTED_TYPE = "courier.group/run"
_OTHER_TYPES = ("amperity.orchestration.orchestration/run", "campaign.send", "campaign.fetch")
"""The specification gives this filter a default too."""


def _tenant_id(text: str) -> str:
    if re.fullmatch("[A-Za-z0-9_-]+", text):
        return text
    # On Azure the host's first part is the tenant; the other hosts are shared by many.
    host = re.search(r"([A-Za-z0-9_-]+)\.amperity\.com", text)
    own = f": {host.group(1)}" if host and not host.group(1).startswith("app") else ""
    raise ValueError(f"{text!r} is not a tenant's id; write the id alone{own}")


Tenant = Annotated[str, AfterValidator(_tenant_id)]


class AmperityResource(RemoteRunResource):
    """Connection to an Amperity tenant.

    Either ``access_token``, or ``client_id`` and ``client_secret``.

    Args:
        tenant: The tenant's id, or a sandbox's (``socktown-sb-12345``).
        access_token: A token from Settings → Security → API keys (DataGrid Operator).
        client_id: Of OAuth client credentials.
        client_secret: Of the same credentials.
        token_url: Where those are exchanged for tokens, as Amperity shows beside them; by default the tenant's usual.
        base_url: The API's address, with or without ``/api``. AWS: ``https://app.amperity.com`` (default). Azure:
            ``https://{tenant}.amperity.com``. Australia: ``https://app-aws-apse2.amperity.com``.
        api_version: Version of the API.
        requests_per_second: Amperity refuses more than 10 a second.

    Source: https://docs.amperity.com/api/.
    """

    vendor: ClassVar[str] = "Amperity"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token", "client_secret")
    oauth_fields: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")

    tenant: Tenant
    access_token: str | None = Field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    token_url: str | None = None
    base_url: str = "https://app.amperity.com"
    api_version: str = "2024-04-01"
    requests_per_second: OptionalNumber = Field(default=10.0, gt=0)

    # The filters of which it is unknown whether this server gives them a default.
    _unproven: set[str] = PrivateAttr(default_factory=lambda: {"state", "type"})

    def api_url(self) -> str:
        """The API's address."""
        return f"{trimmed(self.base_url, '/api')}/api"

    def account(self) -> str:
        """The tenant, which the rate limit is for."""
        return self.tenant

    def auth(self) -> Auth:
        """A bearer token for the tenant; one from client credentials is shared by all in this process."""
        token = self.secret("access_token")
        if token is not None:
            return HeaderAuth({**self._tenant_headers(), "Authorization": f"Bearer {token}"}, secrets=(token,))
        url = self.token_url or f"https://{self.tenant}.amperity.com/api/v0/oauth2/token"
        client = tuple(self.secret(name) or "" for name in self.oauth_fields)
        return shared_token((url, self.tenant, self.api_version, *client), lambda: self._exchanged_token(url, *client))

    def _exchanged_token(self, url: str, client_id: str, client_secret: str) -> RenewedToken:
        url = check_base_url(url, vendor=self.vendor, allow_plain_http=self.allow_plain_http)
        base, _, name = url.rpartition("/")
        secrets = (client_secret,)
        return exchanged_token(
            self.new_client(base, HeaderAuth({"X-Amperity-Tenant": self.tenant}, secrets=secrets)),
            [name],
            {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret},
            secrets=secrets,
            hint="Check client_id, client_secret and token_url as Amperity shows them under API keys.",
            more_headers=self._tenant_headers(),
        )

    def _tenant_headers(self) -> dict[str, str]:
        return {"amperity-tenant": self.tenant, "api-version": self.api_version}

    def error_reader(self) -> ErrorReader:
        """``{status, message, request_id?, trace_id?}``."""
        return _read_error

    def start_workflow(self, body: Mapping[str, Any]) -> str:
        """POST ``/workflow/runs``; returns the workflow's id."""
        return self.http().post_once(["workflow", "runs"], json=dict(body)).parse(StartedWorkflow).id

    def get_workflow(self, workflow_id: str, *, verbose: bool) -> Workflow:
        """GET ``/workflow/runs/{id}``; error and tasks are told with ``verbose`` only."""
        view = {"view": "verbose"} if verbose else {}
        return self.http().get(["workflow", "runs", workflow_id], params=view).parse(Workflow)

    def stop_workflow(self, workflow_id: str) -> None:
        """POST ``/workflow/runs/{id}/stop``.

        Raises:
            ConflictError: It has ended already.
        """
        self.http().post(["workflow", "runs", workflow_id, "stop"], may_be_empty=True)

    def list_runs(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        """The tenant's workflows; in which order Amperity does not say."""
        return self._listed(self._of_all_types("created", since, until))

    def list_finished(self, since: float, until: float | None = None) -> Iterator[ListedRun] | None:
        """The tenant's workflows that ended since then."""
        # A refusal must not pass for there being none.
        return self._listed(self._of_all_types("ended", since, until, _ENDED_STATES, bears=()))

    def _there(self, at: float) -> str:
        return iso(datetime.fromtimestamp(at + (self.http().clock_ahead or 0.0), timezone.utc))

    def _listed(self, workflows: Iterable[PartOfWorkflow]) -> Iterator[ListedRun]:
        for workflow in workflows:
            ahead = self.http().clock_ahead or 0.0
            created_at = workflow.created_at.timestamp() - ahead if workflow.created_at else None
            if isinstance(workflow, Workflow):
                yield ListedRun(workflow.id, created_at, workflow.run_state, workflow)
            elif workflow.id is not None:
                yield ListedRun.unreadable(workflow.id, created_at)

    def _of_all_types(
        self,
        of: str,
        since: float,
        until: float | None,
        states: Collection[str] = _LISTED_STATES,
        bears: tuple[type[Exception], ...] = (InvalidRequestError,),
    ) -> Iterator[PartOfWorkflow]:
        """Of all types and states, even where the server lists successes of courier groups only; some may come twice.

        Args:
            of: What happened in that time: ``created`` or ``ended``.
            since: Epoch seconds by our clock.
            until: Likewise; ``None`` for now.
            states: Those that it could leave out.
            bears: What may be the answer to a state or a type that this version does not know.
        """
        if self._unproven or self.http().clock_ahead is None:
            # Of whatever time: it may show that the server hides nothing. And it tells the vendor's clock, by which the
            # list is filtered.
            self._newest()
        window = {f"{of}_from": self._there(since)} | ({} if until is None else {f"{of}_to": self._there(until)})
        yield from self.list_workflows(**window)
        yield from self._of_states(states, bears, window)
        for other in _OTHER_TYPES if "type" in self._unproven else ():
            with suppress(*bears):
                # Many tenants have none of a type, and to ask for each of many states takes many calls.
                if len(states) <= len(_ENDED_STATES) or self._newest(type=other).entries:
                    of_type = {"type": other, **window}
                    yield from self.list_workflows(**of_type)
                    yield from self._of_states(states, bears, of_type)

    def list_all_workflows(self, **filters: str) -> Iterator[PartOfWorkflow]:
        """As `list_workflows`, of all states even where the server lists successes only; some may come twice."""
        yield from self.list_workflows(**filters)
        yield from self._of_states(_LISTED_STATES, (InvalidRequestError,), filters)

    def _of_states(
        self, states: Iterable[str], bears: tuple[type[Exception], ...], filters: Mapping[str, str]
    ) -> Iterator[PartOfWorkflow]:
        for state in states if "state" in self._unproven else ():
            with suppress(*bears):
                yield from self.list_workflows(**filters, state=state)

    def _newest(self, **filters: str) -> EachReadable[Workflow]:
        return self._page(filters)[1].data

    def _page(self, params: Mapping[str, str]) -> tuple[ApiResponse, WorkflowPage]:
        answer = self.http().get(["workflow", "runs"], params=params)
        page = answer.parse(WorkflowPage)
        if "state" not in params and any(one.run_state is not RunState.SUCCEEDED for one in page.data):
            self._unproven.discard("state")
        if "type" not in params and any(one.type != _LISTED_TYPE for one in page.data):
            self._unproven.discard("type")
        return answer, page

    def list_workflows(self, **filters: str) -> Iterator[PartOfWorkflow]:
        """GET ``/workflow/runs``, page by page. There is no filter by ``config_id``.

        Yields:
            Each workflow; of an entry that is not as documented, what can be read of it.

        Raises:
            UnexpectedResponseError: The list has no end: what is missing from it must not pass for not being there.
        """
        params = dict(filters)
        for _ in range(_MAX_PAGES):
            answer, page = self._page(params)
            for entry in page.data.entries:
                yield entry if isinstance(entry, Workflow) else entry.read_as(PartOfWorkflow)
            if not page.next_token:
                return
            params["next_token"] = page.next_token
        raise answer.unexpected(f"after {_MAX_PAGES} pages there was a next one still; the last was {answer.quoted()}")


def _read_error(body: Any) -> tuple[str | None, str | None]:
    ids = ", ".join(f"{name} {body[name]}" for name in ("request_id", "trace_id") if body.get(name))
    message = body.get("message")
    return None, f"{message} ({ids})" if message and ids else message
