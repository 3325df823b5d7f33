"""Tokens that a token endpoint issues for credentials (OAuth 2, RFC 6749, or a vendor's own), and that are renewed."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from dagster_runs.transport.auth import RenewedToken, Token
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.redaction import Redactor
from dagster_runs.transport.url import PathPart

_DEFAULT_LIFETIME = 3600.0
"""Seconds. Assumed if the response does not contain the lifetime. If that is too long, a 401 causes a renewal."""


class _TokenResponse(BaseModel):
    model_config = ConfigDict(defer_build=True)

    access_token: str = Field(min_length=1, repr=False, validation_alias=AliasChoices("access_token", "accessToken"))
    expires_in: float | None = Field(
        default=None, allow_inf_nan=False, validation_alias=AliasChoices("expires_in", "expiresIn")
    )
    refresh_token: str | None = Field(
        default=None, repr=False, validation_alias=AliasChoices("refresh_token", "refreshToken")
    )


def exchanged_token(
    endpoint: HttpClient,
    path: Sequence[PathPart],
    *,
    form: Mapping[str, str] | None = None,
    json: Mapping[str, Any] | None = None,
    secrets: Sequence[str],
    hint: str,
    scheme: str = "Bearer",
    more_headers: Mapping[str, str] | None = None,
    max_renewals: int = 1,
) -> RenewedToken:
    """Returns a token that is fetched from the vendor's token endpoint (section 4.4 or 6 of the RFC).

    Args:
        endpoint: The client for the token endpoint, with the credentials that the endpoint expects in headers.
        path: The path of the endpoint.
        form: The form fields of the request: ``grant_type`` and its parameters.
        json: The fields of the request as JSON, in place of ``form``.
        secrets: The secret values in the headers and the fields, which must not be shown.
        hint: What the user can do when the vendor refuses to issue a token.
        scheme: The scheme of the ``Authorization`` header that the token is sent in.
        more_headers: Headers to send in addition to the token's header.
        max_renewals: How many times one call may renew the token.
    """
    redactor = Redactor(secrets)
    newest: dict[str, Any] = {**(form or {}), **(json or {})}

    def fetch() -> Token:
        body: Mapping[str, Any] = {"json": newest} if json is not None else {"form": newest}
        tokens = endpoint.send_repeatable("POST", path, **body, keep_secrets=True).parse(_TokenResponse)
        if tokens.refresh_token is not None and "refresh_token" in newest:
            # The refresh token of a public client changes with each use, and the vendor soon refuses the old one.
            newest["refresh_token"] = tokens.refresh_token
        if "refresh_token" in newest:
            redactor.add_temporary(newest["refresh_token"])
        lives_for = tokens.expires_in if tokens.expires_in is not None and tokens.expires_in > 0 else _DEFAULT_LIFETIME
        return Token(tokens.access_token, lives_for)

    return RenewedToken(
        fetch,
        vendor=endpoint.vendor,
        redactor=redactor,
        hint=hint,
        scheme=scheme,
        more_headers=more_headers,
        max_renewals=max_renewals,
    )
