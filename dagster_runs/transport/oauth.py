"""OAuth 2 (RFC 6749): access tokens in exchange for what a program may keep, and renewed in time."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from dagster_runs.transport.auth import RenewedToken, Token
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.redaction import Redactor

_USUAL_LIFE = 3600.0
"""Seconds that a token is taken to live where the answer does not tell: a 401 corrects it."""


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(defer_build=True)

    access_token: str = Field(min_length=1, repr=False)
    expires_in: float | None = Field(default=None, allow_inf_nan=False)
    refresh_token: str | None = Field(default=None, repr=False)


def exchanged_token(
    endpoint: HttpClient,
    segments: Sequence[str],
    form: Mapping[str, str],
    *,
    secrets: Sequence[str],
    hint: str,
    more_headers: Mapping[str, str] | None = None,
    max_renewals: int = 1,
) -> RenewedToken:
    """Access tokens from the vendor's token endpoint (section 4.4 or 6 of the RFC).

    Args:
        endpoint: Client for the token endpoint, with the credentials that it wants in headers.
        segments: The endpoint's path.
        form: What is exchanged: ``grant_type`` and what belongs to it.
        secrets: What of all this must not be shown.
        hint: What the user can do when the vendor refuses.
        more_headers: Headers that go along with the token's.
        max_renewals: How often one call may renew the token.
    """
    redactor = Redactor(secrets)
    newest = dict(form)

    def fetch() -> Token:
        tokens = endpoint.post(segments, form=newest, keep_secrets=True).parse(_TokenAnswer)
        if tokens.refresh_token is not None and "refresh_token" in newest:
            # A public client's refresh token changes with each use; the old one is soon refused.
            newest["refresh_token"] = tokens.refresh_token
        if "refresh_token" in newest:
            redactor.add_passing(newest["refresh_token"])
        lives_for = tokens.expires_in if tokens.expires_in is not None and tokens.expires_in > 0 else _USUAL_LIFE
        return Token(tokens.access_token, lives_for)

    return RenewedToken(
        fetch,
        vendor=endpoint.vendor,
        redactor=redactor,
        hint=hint,
        more_headers=more_headers,
        max_renewals=max_renewals,
    )
