"""Tokens that a token endpoint issues for credentials (OAuth 2, RFC 6749, or a vendor's own), and that are renewed."""

from collections.abc import Callable, Mapping, Sequence
from json import dumps as to_json
from typing import Any, Protocol

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from dagster_runs.transport.auth import Auth, HeaderAuth, RenewedToken, Token, shared_token
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.redaction import Redactor

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


class ClientMaker(Protocol):
    """Makes a client with a resource's settings for another URL of the same vendor."""

    def __call__(self, base_url: str, auth: Auth, *, paths_end_in_slash: bool) -> HttpClient:
        """Returns the client."""


def exchanged_token(
    new_client: ClientMaker,
    url: str,
    *,
    form: Mapping[str, str] | None,
    json: Mapping[str, Any] | None,
    auth: Auth | None,
    secrets: Sequence[str],
    hint: str,
    scheme: str,
    more_headers: Mapping[str, str] | None,
    max_renewals: int,
    connection: Sequence[Any],
) -> RenewedToken:
    """Returns the token that all of this process shares for these credentials (section 4.4 or 6 of the RFC).

    Args:
        new_client: Makes the client for the endpoint.
        url: The checked URL of the endpoint, with a trailing slash if the endpoint has one.
        form: The form fields of the request: ``grant_type`` and its parameters.
        json: The fields of the request as JSON, in place of ``form``.
        auth: The credentials that the endpoint itself expects in headers, if any.
        secrets: The secret values in the fields, which must not be shown.
        hint: What the user can do when the vendor refuses to issue a token.
        scheme: The scheme of the ``Authorization`` header that the token is sent in.
        more_headers: Headers to send in addition to the token's header.
        max_renewals: How many times one call may renew the token.
        connection: The settings that decide which servers the client trusts. Clients with different ones do not share a
            token.
    """
    # A string is iterable too, and a secret may be optional.
    secrets = [one for one in ((secrets,) if isinstance(secrets, str) else secrets) if one]
    own = auth or HeaderAuth({}, secrets=())
    redactor = own.redactor()
    for secret in secrets:
        redactor.add(secret)
    fields = [form, json, dict(own.headers()), dict(more_headers or {}), sorted(secrets)]
    key = to_json([url, *fields, scheme, max_renewals, *connection], sort_keys=True)

    def make() -> RenewedToken:
        base, _, name = url.rstrip("/").rpartition("/")
        endpoint = new_client(base, own, paths_end_in_slash=url.endswith("/"))
        fetch = _fetching(endpoint, name, form, json, redactor)
        return RenewedToken(
            fetch,
            vendor=endpoint.vendor,
            redactor=redactor,
            hint=hint,
            scheme=scheme,
            more_headers=more_headers,
            max_renewals=max_renewals,
        )

    return shared_token(key, make)


def _fetching(
    endpoint: HttpClient,
    name: str,
    form: Mapping[str, str] | None,
    json: Mapping[str, Any] | None,
    redactor: Redactor,
) -> Callable[[], Token]:
    newest: dict[str, Any] = {**(form or {}), **(json or {})}

    def fetch() -> Token:
        body: Mapping[str, Any] = {"json": newest} if json is not None else {"form": newest}
        tokens = endpoint.send_repeatable("POST", [name], **body, keep_secrets=True, starts_nothing=True).parse(
            _TokenResponse
        )
        if tokens.refresh_token is not None and "refresh_token" in newest:
            # The refresh token of a public client changes with each use, and the vendor soon refuses the old one.
            newest["refresh_token"] = tokens.refresh_token
        if "refresh_token" in newest:
            redactor.add_temporary(newest["refresh_token"])
        lives_for = tokens.expires_in if tokens.expires_in is not None and tokens.expires_in > 0 else _DEFAULT_LIFETIME
        return Token(tokens.access_token, lives_for)

    return fetch
