"""The connection to RudderStack, and the calls of its Profiles API and its Reverse ETL Connections API."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.execution.partitions import iso
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.remote_run.state import RunState
from dagster_runs.remote_run.types import ListedRun
from dagster_runs.transport.auth import Auth, bearer
from dagster_runs.transport.client import ErrorReader, Params
from dagster_runs.transport.errors import NotFoundError, UnexpectedResponseError
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.rudderstack.models import (
    PartOfSync,
    ProfilesRunStatus,
    StartedRun,
    StartedSync,
    Sync,
    SyncEntry,
    SyncPage,
)

logger = logging.getLogger(__name__)

_HOSTS = {"us": "https://api.rudderstack.com", "eu": "https://api.eu.rudderstack.com"}


def _known_region(text: str) -> str:
    region = text.strip().casefold()
    if region not in _HOSTS:
        raise ValueError(f"region must be {' or '.join(repr(known) for known in _HOSTS)}, not {text!r}")
    return region


Region = Annotated[str, AfterValidator(_known_region)]

_PAGE = 100
_MAX_PAGES = 200
"""Protects against a server whose list does not end."""


@dataclass(frozen=True)
class ListedSync:
    """A listed sync, with the connection whose list contains it, because the entry does not name it.

    Attributes:
        connection_id: The connection.
        sync: The entry; ``None`` if it does not have the documented shape.
    """

    connection_id: str
    sync: SyncEntry | None


class RudderStackResource(RemoteRunResource):
    """Connection to RudderStack.

    Args:
        access_token: A workspace-level service access token, with the permission Profiles → Edit for Profiles runs, and
            with Edit and Connect on the sources and destinations of Reverse ETL syncs. Personal access tokens also
            work, but stop working when the owner's account is deactivated.
        region: The region of the workspace, ``"us"`` or ``"eu"`` (not case-sensitive). A token for one region does not
            work in the other.
        base_url: Another URL for the API, with or without ``/v2``. Overrides ``region``.

    Source: https://www.rudderstack.com/docs/api/profiles-api/ (part of the enterprise plan) and
    https://www.rudderstack.com/docs/api/retl-connections-api/.
    """

    vendor: ClassVar[str] = "RudderStack"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token",)
    lists_by_target: ClassVar[bool] = True

    access_token: str = Field(repr=False, description="The service access token. Pass it as an EnvVar.")
    region: Region = "us"
    base_url: str | None = None

    def api_url(self) -> str:
        """Returns the URL of version 2 of the API."""
        return f"{trimmed(self.base_url or _HOSTS[self.region], '/v2')}/v2"

    def auth(self) -> Auth:
        """Returns a bearer token."""
        return bearer(self.secret("access_token") or "")

    def error_reader(self) -> ErrorReader:
        """Reads errors of the shape ``{"error" | "message", "code"?}``, also nested in an ``error`` object."""
        return _read_error

    def check_access(self, runs: Sequence[RemoteRun[Any]]) -> str:
        """Asks for a Profiles run that does not exist. No call that only checks a token is documented."""
        self.check_with_unknown_run(lambda resource, run_id: resource.get_profiles_run(run_id, run_id))
        return "" if self.base_url else f"region {self.region}"

    def start_profiles_run(self, profiles_id: str, parameters: Sequence[str]) -> str:
        """POST ``/sources/{profilesID}/start``; returns the run's id.

        Raises:
            ConflictError: The project already has an active run.
        """
        # Without parameters we send no body at all, as both of RudderStack's clients do.
        body = {"parameters": list(parameters)} if parameters else None
        return self.http().post_once(["sources", profiles_id, "start"], json=body).parse(StartedRun).run_id

    def get_profiles_run(self, profiles_id: str, run_id: str) -> ProfilesRunStatus:
        """GET ``/sources/{profilesID}/runs/{runId}/status``."""
        return self.http().get(["sources", profiles_id, "runs", run_id, "status"]).parse(ProfilesRunStatus)

    def start_sync(self, connection_id: str, sync_type: str) -> str:
        """POST ``/retl-connections/{connectionId}/start``; returns the sync's id.

        Raises:
            ConflictError: A sync of the connection is running.
        """
        segments = ["retl-connections", connection_id, "start"]
        return self.http().post_once(segments, json={"syncType": sync_type}).parse(StartedSync).sync_id

    def get_sync(self, connection_id: str, sync_id: str) -> Sync:
        """GET ``/retl-connections/{connectionId}/syncs/{syncId}``."""
        return self.http().get(["retl-connections", connection_id, "syncs", sync_id]).parse(Sync)

    def stop_sync(self, connection_id: str) -> None:
        """POST ``/retl-connections/{connectionId}/stop``, which stops whichever sync of the connection is running.

        It is sent once. If it was sent again, it could stop the sync that follows.
        """
        self.http().send_once("POST", ["retl-connections", connection_id, "stop"], may_be_empty=True)

    def list_syncs(
        self, connection_id: str, since: float, until: float | None = None
    ) -> Iterator[tuple[PartOfSync, float | None]]:
        """GET ``/retl-connections/{connectionId}/syncs``, page by page.

        Args:
            connection_id: The connection.
            since: Epoch seconds by our clock; syncs that started earlier are left out.
            until: Epoch seconds by our clock; syncs that started later are left out.

        Yields:
            Each sync and its start in epoch seconds by our clock, if the list contains it. For an entry that does not
            have the documented shape, its readable fields. A sync may be yielded more than once.

        Raises:
            UnexpectedResponseError: The list does not end. A partial list is not returned, because a sync missing from
                it would be treated as nonexistent.
        """
        if self.http().clock_ahead is None:
            self._page(connection_id, {"per_page": 1, "page": 1})  # the time filters need the vendor's time
        # Whether the limits are inclusive is not documented.
        window = {"started_after": self._vendor_time(since - 1)}
        window |= {} if until is None else {"started_before": self._vendor_time(until + 2)}
        for number in range(1, _MAX_PAGES + 1):
            page = self._page(connection_id, {**window, "per_page": _PAGE, "page": number})
            for entry in page.syncs.entries:
                sync = entry if isinstance(entry, SyncEntry) else entry.read_as(PartOfSync)
                started_at = self.http().by_our_clock(sync.started_at)
                if started_at is None or (since <= started_at and (until is None or started_at <= until)):
                    yield sync, started_at
            count = len(page.syncs.entries)
            if count == 0 or not (page.paging.next if page.paging is not None else count >= _PAGE):
                return
        raise UnexpectedResponseError(f"the list did not end after {_MAX_PAGES} pages", vendor=self.vendor)

    def _page(self, connection_id: str, params: Params) -> SyncPage:
        return self.http().get(["retl-connections", connection_id, "syncs"], params=params).parse(SyncPage)

    def _vendor_time(self, at: float) -> str:
        return iso(self.http().by_vendor_clock(at))

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        """Lists the syncs of these connections. Without any, it returns ``None``: Profiles runs cannot be listed."""
        return self._listed(since, until, targets) if targets else None

    def _listed(self, since: float, until: float | None, connections: Collection[str]) -> Iterator[ListedRun]:
        for connection_id in sorted(connections):
            try:
                for sync, started_at in self.list_syncs(connection_id, since, until):
                    if isinstance(sync, SyncEntry):
                        yield ListedRun(sync.id, started_at, sync.state, ListedSync(connection_id, sync))
                    elif sync.id is not None:
                        yield ListedRun(sync.id, started_at, RunState.UNKNOWN, ListedSync(connection_id, None))
            except NotFoundError as error:
                # A connection that was deleted must not hide the syncs of the others.
                if not error.is_from_api:
                    raise
                logger.warning("The syncs of connection %s cannot be listed: %s", connection_id, error)


def _read_error(body: Any) -> tuple[str | None, str | None]:
    inner = body.get("error")
    if isinstance(inner, dict):
        body, inner = inner, inner.get("error")
    message = body.get("message") or inner
    code = body.get("code")
    details = body.get("details")
    text = f"{message} {details}" if details and message else message
    return (str(code) if code is not None else None), (str(text) if text else None)
