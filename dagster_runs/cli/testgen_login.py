"""The command ``testgen-login``: a login in the browser, for the environment variables of a `TestGenResource`."""

import os
import tempfile
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from dagster_runs.cli.browser_login import CallbackServer, LoginRefused
from dagster_runs.cli.output import NegativeResult, Unusable, one_line, print_json, progress
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import InvalidRequestError, VendorError
from dagster_runs.transport.http_settings import HttpSettings
from dagster_runs.vendors.testgen.access.login import REFRESH_TOKEN_DAYS, LoginAttempt, OAuthClient
from dagster_runs.vendors.testgen.resource import TestGenResource

_ONLY_OWNER = 0o600


def log_in(
    base_url: str,
    *,
    client_id: str | None = None,
    client_secret: str | None = None,
    port: int = 0,
    no_browser: bool = False,
    timeout: float = 300.0,
    prefix: str = "TESTGEN",
    write_env: Path | None = None,
    ca_bundle: str | None = None,
    allow_plain_http: bool = False,
    as_json: bool = False,
) -> None:
    """Logs in, and prints or writes the variables.

    Args:
        base_url: The URL of the server, with or without ``/api/v1``.
        client_id: The id of an OAuth client; ``None`` to register one.
        client_secret: Its secret.
        port: The port for the browser's return; 0 for a free one. A client of your own must have registered
            ``http://127.0.0.1:PORT/callback``.
        no_browser: Whether to only print the address of the login page.
        timeout: Seconds to wait for the login.
        prefix: The beginning of the variables' names.
        write_env: The file to write the variables to; ``None`` to print them.
        ca_bundle: A PEM file with the certificates of a private CA.
        allow_plain_http: Whether credentials may be sent over plain HTTP to another machine.
        as_json: Whether to print JSON.

    Raises:
        NegativeResult: The server cannot be reached, or the login has failed or not happened in time.
        Unusable: The options are wrong.
    """
    if client_id is not None and client_secret is None:
        raise Unusable("--client-id also needs the client's secret, in TESTGEN_CLIENT_SECRET or as --client-secret.")
    own = OAuthClient(client_id, client_secret) if client_id is not None and client_secret is not None else None
    if own is not None and not port:
        raise Unusable("--client-id also needs --port, the port of the address that the client has registered.")
    settings = HttpSettings(ca_bundle=ca_bundle, allow_plain_http=allow_plain_http)
    try:
        server = CallbackServer(port)
    except OSError as error:
        raise Unusable(f"Port {port} of this machine cannot be used: {error}") from None
    with server:
        attempt = LoginAttempt(base_url, server.redirect_uri, settings)
        try:
            client = own or attempt.register_client()
            code = _code(server, attempt, client, timeout, opens_browser=not no_browser)
            refresh_token = attempt.refresh_token(client, code)
        except InvalidRequestError as error:
            raise (Unusable if error.status is None else NegativeResult)(one_line(str(error))) from None
        except VendorError as error:
            raise NegativeResult(one_line(str(error))) from None
    variables = {
        f"{prefix}_URL": attempt.server_url,
        f"{prefix}_CLIENT_ID": client.client_id,
        f"{prefix}_CLIENT_SECRET": client.client_secret,
        f"{prefix}_REFRESH_TOKEN": refresh_token,
    }
    _deliver(variables, write_env, as_json=as_json)
    until = datetime.fromtimestamp(current_clock().wall(), timezone.utc) + timedelta(days=REFRESH_TOKEN_DAYS)
    progress(f"The refresh token is valid for {REFRESH_TOKEN_DAYS} days, until {until:%Y-%m-%d}. Then log in again.")
    _check(attempt.server_url, client, refresh_token, ca_bundle, allow_plain_http=allow_plain_http)


def _code(
    server: CallbackServer, attempt: LoginAttempt, client: OAuthClient, timeout: float, *, opens_browser: bool
) -> str:
    url = attempt.login_url(client)
    progress(f"Log in to TestGen at this address:\n{url}")
    if opens_browser:
        with suppress(webbrowser.Error):
            webbrowser.open(url)
    progress(f"Waiting up to {timeout:.0f} s for the login …")
    try:
        code = server.wait_for_code(attempt.state, timeout)
    except LoginRefused as refused:
        raise NegativeResult(f"TestGen refused the login: {one_line(str(refused))}") from None
    if code is None:
        raise NegativeResult(f"No login within {timeout:.0f} s. Run the command again; --timeout waits longer.")
    return code


def _deliver(variables: Mapping[str, str], file: Path | None, *, as_json: bool) -> None:
    if file is not None:
        write_variables(file, variables)
        progress(f"Wrote {', '.join(variables)} to {file}, which only you can read.")
        if as_json:
            print_json({"file": str(file), "variables": list(variables)})
    elif as_json:
        print_json(variables)
    else:
        progress("Put these variables into the environment of the code location. They are secrets:")
        for name, value in variables.items():
            click.echo(f"{name}={value}")


def write_variables(file: Path, variables: Mapping[str, str]) -> None:
    """Writes variables to a file like ``.env``, readable only by its owner. Other variables in it are kept.

    The file is replaced at once, so that a reader never sees half of it.

    Raises:
        Unusable: The file cannot be written.
    """
    try:
        kept = [
            line
            for line in (file.read_text().splitlines() if file.exists() else ())
            if line.strip().removeprefix("export ").partition("=")[0].strip() not in variables
        ]
        lines = [*kept, *(f"{name}={value}" for name, value in variables.items())]
        # mkstemp creates a file that only its owner can read.
        descriptor, path = tempfile.mkstemp(dir=file.resolve().parent, prefix=f".{file.name}.")
        with os.fdopen(descriptor, "w") as new:
            os.fchmod(descriptor, _ONLY_OWNER)
            new.write("\n".join(lines) + "\n")
        Path(path).replace(file.resolve())
    except OSError as error:
        raise Unusable(f"{file} cannot be written: {error}") from None


def _check(
    base_url: str, client: OAuthClient, refresh_token: str, ca_bundle: str | None, *, allow_plain_http: bool
) -> None:
    resource = TestGenResource(
        base_url=base_url,
        client_id=client.client_id,
        client_secret=client.client_secret,
        refresh_token=refresh_token,
        ca_bundle=ca_bundle,
        allow_plain_http=allow_plain_http,
    )
    try:
        with resource.http().with_call_budget():
            found = resource.get_access([])
    except VendorError as error:
        raise NegativeResult(f"The new credentials do not work: {one_line(str(error))}") from None
    progress(f"Checked: TestGen accepts the new credentials ({found}).")
