"""The connection to an Amperity tenant, and the API calls."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, PrivateAttr

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.response_models import EachReadable
from dagster_runs.remote_run.settings import OptionalNumber
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth, HeaderAuth
from dagster_runs.transport.body import ApiResponse
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.amperity.models import PartOfWorkflow, StartedWorkflow, Workflow, WorkflowPage

_MAX_PAGES = 50
_UNSUCCESSFUL_STATES = ("failed", "canceled", "stopped")
_LISTED_STATES = (
    *("scheduled", "started", "in progress", "in-progress", "in_progress", "running", "paused"),
    *("running with failures", "running-with-failures", "running_with_failures"),
    *("stopping", "canceling", *_UNSUCCESSFUL_STATES),
)
"""The specification gives the `state` filter the default `succeeded`. It says neither whether servers apply the default
nor how they spell states of several words. Until a response shows that the server applies no default filter, we query
each state separately."""
_LISTED_TYPE = "courier.group/run"
_OTHER_TYPES = ("amperity.orchestration.orchestration/run", "campaign.send", "campaign.fetch")
"""The specification gives the `type` filter a default too."""


def _tenant_id(text: str) -> str:
    if re.fullmatch("[A-Za-z0-9_-]+", text):
        return text
    # On Azure the first part of the host name is the tenant; many tenants share the other hosts.
    host = re.search(r"([A-Za-z0-9_-]+)\.amperity\.com", text)
    suggestion = f": {host.group(1)}" if host and not host.group(1).startswith("app") else ""
    raise ValueError(f"{text!r} is not a tenant id; enter only the id{suggestion}")


Tenant = Annotated[str, AfterValidator(_tenant_id)]


class AmperityResource(RemoteRunResource):
    """Connection to an Amperity tenant.

    Set either ``access_token``, or ``client_id`` and ``client_secret``.

    Args:
        tenant: The id of the tenant or of a sandbox (``socktown-sb-12345``).
        access_token: A token from Settings → Security → API keys (DataGrid Operator).
        client_id: The client id of OAuth client credentials.
        client_secret: The client secret of the same credentials.
        token_url: The URL that exchanges the client credentials for tokens, as Amperity shows it next to them. Defaults
            to the tenant's standard URL.
        base_url: The URL of the API, with or without ``/api``. AWS: ``https://app.amperity.com`` (default). Azure:
            ``https://{tenant}.amperity.com``. Australia: ``https://app-aws-apse2.amperity.com``.
        api_version: The version of the API.
        requests_per_second: The client-side rate limit. Amperity refuses more than 10 requests per second.

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

    # The filters to which this server might apply a default when we leave them out.
    _filters_with_possible_default: set[str] = PrivateAttr(default_factory=lambda: {"state", "type"})

    def api_url(self) -> str:
        """Returns the URL of the API."""
        return f"{trimmed(self.base_url, '/api')}/api"

    def account(self) -> str:
        """Returns the tenant, which the rate limit applies to."""
        return self.tenant

    def auth(self) -> Auth:
        """Returns a bearer token for the tenant. All clients in this process share one token per set of credentials."""
        token = self.secret("access_token")
        if token is not None:
            return HeaderAuth({**self._tenant_headers(), "Authorization": f"Bearer {token}"}, secrets=(token,))
        client_id, client_secret = (self.secret(name) or "" for name in self.oauth_fields)
        return self.exchanged_token(
            self.token_url or f"https://{self.tenant}.amperity.com/api/v0/oauth2/token",
            form={"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret},
            auth=HeaderAuth({"X-Amperity-Tenant": self.tenant}, secrets=()),
            secrets=(client_secret,),
            hint="Compare client_id, client_secret and token_url with the values that Amperity shows under API keys.",
            more_headers=self._tenant_headers(),
        )

    def _tenant_headers(self) -> dict[str, str]:
        return {"amperity-tenant": self.tenant, "api-version": self.api_version}

    def error_reader(self) -> ErrorReader:
        """Reads errors of the shape ``{status, message, request_id?, trace_id?}``."""
        return _read_error

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str:
        """GET ``/workflow/runs``, one workflow of the tenant."""
        self._first_page(limit="1")
        return f"tenant {self.tenant}, api-version {self.api_version}"

    def start_workflow(self, body: Mapping[str, Any]) -> str:
        """POST ``/workflow/runs``; returns the workflow's id."""
        return self.http().post_once(["workflow", "runs"], json=dict(body)).parse(StartedWorkflow).id

    def get_workflow(self, workflow_id: str, *, verbose: bool) -> Workflow:
        """GET ``/workflow/runs/{id}``; the response contains the error and the tasks only with ``verbose``."""
        view = {"view": "verbose"} if verbose else {}
        return self.http().get(["workflow", "runs", workflow_id], params=view).parse(Workflow)

    def stop_workflow(self, workflow_id: str) -> None:
        """POST ``/workflow/runs/{id}/stop``.

        Raises:
            ConflictError: The workflow has already finished.
        """
        self.http().send_repeatable("POST", ["workflow", "runs", workflow_id, "stop"], may_be_empty=True)

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the tenant's workflows. Amperity does not document their order."""
        return self._listed(self._list_all_types("created", since, until))

    def list_finished(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the tenant's workflows that finished since a point in time."""
        # A refused call must not look like an empty list, so no errors are tolerated.
        return self._listed(self._list_all_types("ended", since, until, _UNSUCCESSFUL_STATES, tolerated=()))

    def _vendor_time(self, at: float) -> str:
        return iso(self.http().by_vendor_clock(at))

    def _listed(self, workflows: Iterable[PartOfWorkflow]) -> Iterator[ListedRun]:
        for workflow in workflows:
            created_at = self.http().by_our_clock(workflow.created_at)
            if isinstance(workflow, Workflow):
                yield ListedRun(workflow.id, created_at, workflow.run_state, workflow)
            elif workflow.id is not None:
                yield ListedRun.unreadable(workflow.id, created_at)

    def _list_all_types(
        self,
        event: str,
        since: float,
        until: float | None,
        states: Collection[str] = _LISTED_STATES,
        tolerated: tuple[type[Exception], ...] = (InvalidRequestError,),
    ) -> Iterator[PartOfWorkflow]:
        """Lists workflows of all types and states, even if the server by default lists only successful courier groups.

        A workflow may be yielded more than once.

        Args:
            event: What happened in the time window: ``created`` or ``ended``.
            since: Epoch seconds by our clock.
            until: Epoch seconds by our clock; ``None`` for now.
            states: The states that the server might leave out by default.
            tolerated: The errors that the server may return for a state or type that its API version does not know.
        """
        if self._filters_with_possible_default or self.http().clock_ahead is None:
            # An unfiltered page may prove that the server applies no defaults. Its response also contains the
            # vendor's time, which the time filters need.
            self._first_page()
        window = {f"{event}_from": self._vendor_time(since)}
        window |= {} if until is None else {f"{event}_to": self._vendor_time(until)}
        yield from self.list_workflows(**window)
        yield from self._list_states(states, tolerated, window)
        for other in _OTHER_TYPES if "type" in self._filters_with_possible_default else ():
            with suppress(*tolerated):
                # Many tenants have no workflow of a given type, and querying each of many states takes many calls.
                if len(states) <= len(_UNSUCCESSFUL_STATES) or self._first_page(type=other).entries:
                    of_type = {"type": other, **window}
                    yield from self.list_workflows(**of_type)
                    yield from self._list_states(states, tolerated, of_type)

    def list_all_workflows(self, **filters: str) -> Iterator[PartOfWorkflow]:
        """Like `list_workflows`, but lists all states even if the server by default lists only successful runs.

        A workflow may be yielded more than once.
        """
        yield from self.list_workflows(**filters)
        yield from self._list_states(_LISTED_STATES, (InvalidRequestError,), filters)

    def _list_states(
        self, states: Iterable[str], tolerated: tuple[type[Exception], ...], filters: Mapping[str, str]
    ) -> Iterator[PartOfWorkflow]:
        for state in states if "state" in self._filters_with_possible_default else ():
            with suppress(*tolerated):
                yield from self.list_workflows(**filters, state=state)

    def _first_page(self, **filters: str) -> EachReadable[Workflow]:
        return self._page(filters)[1].data

    def _page(self, params: Mapping[str, str]) -> tuple[ApiResponse, WorkflowPage]:
        response = self.http().get(["workflow", "runs"], params=params)
        page = response.parse(WorkflowPage)
        if "state" not in params and any(one.run_state is not RunState.SUCCEEDED for one in page.data):
            self._filters_with_possible_default.discard("state")
        if "type" not in params and any(one.type != _LISTED_TYPE for one in page.data):
            self._filters_with_possible_default.discard("type")
        return response, page

    def list_workflows(self, **filters: str) -> Iterator[PartOfWorkflow]:
        """GET ``/workflow/runs``, page by page. There is no filter by ``config_id``.

        Yields:
            Each workflow. For an entry that does not have the documented shape, its readable fields.

        Raises:
            UnexpectedResponseError: The list does not end. A partial list is not returned, because a run missing from
                it would be treated as nonexistent.
        """
        params = dict(filters)
        for _ in range(_MAX_PAGES):
            response, page = self._page(params)
            for entry in page.data.entries:
                yield entry if isinstance(entry, Workflow) else entry.read_as(PartOfWorkflow)
            if not page.next_token:
                return
            params["next_token"] = page.next_token
        raise response.unexpected(
            f"the list did not end after {_MAX_PAGES} pages; the last page was {response.quoted()}"
        )


def _read_error(body: Any) -> tuple[str | None, str | None]:
    ids = ", ".join(f"{name} {body[name]}" for name in ("request_id", "trace_id") if body.get(name))
    message = body.get("message")
    return None, f"{message} ({ids})" if message and ids else message
