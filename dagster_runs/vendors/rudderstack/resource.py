"""The connection to RudderStack's Profiles API, and its two API calls."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.auth import Auth, bearer
from dagster_runs.transport.client import ErrorReader
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.rudderstack.models import ProfilesRunStatus, StartedRun

_HOSTS = {"us": "https://api.rudderstack.com", "eu": "https://api.eu.rudderstack.com"}


def _known_region(text: str) -> str:
    region = text.strip().casefold()
    if region not in _HOSTS:
        raise ValueError(f"region must be {' or '.join(repr(known) for known in _HOSTS)}, not {text!r}")
    return region


Region = Annotated[str, AfterValidator(_known_region)]


class RudderStackResource(RemoteRunResource):
    """Connection to RudderStack.

    Args:
        access_token: A workspace-level service access token with the permission Profiles → Edit. Personal access tokens
            also work, but stop working when the owner's account is deactivated.
        region: The region of the workspace, ``"us"`` or ``"eu"`` (not case-sensitive). A token for one region does not
            work in the other.
        base_url: Another URL for the API, with or without ``/v2``. Overrides ``region``.

    Source: https://www.rudderstack.com/docs/api/profiles-api/. The API is part of the enterprise plan.
    """

    vendor: ClassVar[str] = "RudderStack"
    secret_fields: ClassVar[tuple[str, ...]] = ("access_token",)

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


def _read_error(body: Any) -> tuple[str | None, str | None]:
    inner = body.get("error")
    if isinstance(inner, dict):
        body, inner = inner, inner.get("error")
    message = body.get("message") or inner
    code = body.get("code")
    details = body.get("details")
    text = f"{message} {details}" if details and message else message
    return (str(code) if code is not None else None), (str(text) if text else None)
