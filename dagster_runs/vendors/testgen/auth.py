"""TestGen's OAuth: a confidential client's refresh token, turned into access tokens of an hour each.

TestGen has no grant for machines. Somebody logs in once, and the refresh token then serves for 30 days; it is not
extended. Each refresh revokes the access token before it, so processes that share a refresh token knock each other out,
and each has to renew when it meets a 401.
"""

import base64
from collections.abc import Callable

from pydantic import Field

from dagster_runs.remote_run.lenient import VendorModel
from dagster_runs.transport.auth import HeaderAuth, RenewedToken, Token
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.redaction import Redactor


class _Tokens(VendorModel):
    access_token: str = Field(min_length=1, repr=False)
    expires_in: float = 3600.0
    refresh_token: str | None = Field(default=None, repr=False)


def refreshed_token(
    client: Callable[[HeaderAuth], HttpClient], *, client_id: str, client_secret: str, refresh_token: str
) -> RenewedToken:
    """Access tokens from the refresh token.

    Args:
        client: Makes the HTTP client of the token endpoint, given the client's own credentials.
        client_id: Of a confidential OAuth client.
        client_secret: Of the same client.
        refresh_token: From its last login.
    """
    basic = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    secrets = (client_secret, refresh_token, basic)
    redactor = Redactor(secrets)
    endpoint = client(HeaderAuth({"Authorization": f"Basic {basic}"}, secrets=secrets))
    newest = refresh_token

    def fetch() -> Token:
        nonlocal newest
        form = {"grant_type": "refresh_token", "refresh_token": newest}
        tokens = endpoint.post(["oauth", "token"], form=form, keep_secrets=True).parse(_Tokens)
        if tokens.refresh_token is not None:
            # A public client's refresh token changes with each use; the old one is soon refused.
            newest = tokens.refresh_token
            redactor.add(newest)
        return Token(tokens.access_token, tokens.expires_in)

    cure = "Log in to TestGen again for a new refresh token: one lives 30 days. Check client_id and client_secret too."
    return RenewedToken(fetch, redactor=redactor, cure=cure)
