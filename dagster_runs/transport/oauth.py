"""OAuth 2 (RFC 6749): access tokens in exchange for what a program may keep, and renewed in time."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from dagster_runs.transport.auth import RenewedToken, Token
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.redaction import Redactor


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(defer_build=True)

    access_token: str = Field(min_length=1, repr=False)
    expires_in: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    refresh_token: str | None = Field(default=None, repr=False)


def exchanged_token(
    endpoint: HttpClient,
    segments: Sequence[str],
    form: Mapping[str, str],
    *,
    secrets: Sequence[str],
    cure: str,
    more_headers: Mapping[str, str] | None = None,
) -> RenewedToken:
    """Access tokens from the vendor's token endpoint (section 4.4 or 6 of the RFC).

    Args:
        endpoint: Client for the token endpoint, with the credentials that it wants in headers.
        segments: The endpoint's path.
        form: What is exchanged: ``grant_type`` and what belongs to it.
        secrets: What of all this must not be shown.
        cure: What the user can do when the vendor refuses.
        more_headers: Headers that go along with the token's.
    """
    redactor = Redactor(secrets)
    newest = dict(form)

    def fetch() -> Token:
        tokens = endpoint.post(segments, form=newest, keep_secrets=True).parse(_TokenAnswer)
        if tokens.refresh_token is not None and "refresh_token" in newest:
            # A public client's refresh token changes with each use; the old one is soon refused.
            newest["refresh_token"] = tokens.refresh_token
            redactor.add(tokens.refresh_token)
        return Token(tokens.access_token, tokens.expires_in)

    return RenewedToken(fetch, redactor=redactor, cure=cure, more_headers=more_headers)
