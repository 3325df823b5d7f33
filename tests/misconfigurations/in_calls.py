"""Mistakes that are found when the vendor is called."""

import ssl
from typing import Any

from dagster_runs import RudderStackProfilesRun, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import Fault
from tests.misconfigurations.trying import Mistake, Trial
from tests.transport.tls import Authority, answering, listening


def behind_tls(trial: Trial, *, days: int, is_trusted: bool) -> Any:
    """Materializes a Profiles run against a server with a certificate of a private authority."""
    authority = Authority(trial.folder)
    context: ssl.SSLContext = authority.issue("server", days=days)
    settings = {"ca_bundle": str(authority.bundle)} if is_trusted else {}
    with listening(answering(context, [])) as port:
        return trial.profiles_with(base_url=f"https://127.0.0.1:{port}", **settings)


IN_CALLS = [
    Mistake(
        "server.down",
        "The server is down, or the port is wrong",
        lambda trial: trial.profiles_with(base_url="http://127.0.0.1:9"),
        wrong=r"could not connect to 127\.0\.0\.1:9 ",
        advice="Check the base URL, the network and any proxy",
    ),
    Mistake(
        "server.unknown",
        "The host does not exist",
        lambda trial: trial.profiles_with(base_url="https://no-such-host.invalid"),
        wrong="could not connect to no-such-host.invalid:443",
        advice="Check the base URL, the network and any proxy",
    ),
    Mistake(
        "server.certificate",
        "The server's certificate was issued by a private authority, or is self-signed",
        lambda trial: behind_tls(trial, days=30, is_trusted=False),
        wrong="could not establish a TLS connection",
        advice="set the resource's `ca_bundle`",
    ),
    Mistake(
        "server.clock",
        "The certificate is out of date, or this machine's clock is wrong",
        lambda trial: behind_tls(trial, days=-1, is_trusted=True),
        wrong="certificate has expired",
        advice="Renew the server's certificate, or correct this machine's clock",
    ),
    Mistake(
        "answer.html",
        "A login page responds in place of the API",
        lambda trial: trial.profiles_during(Fault("html", method="POST", body="<html><title>Sign in</title></html>")),
        wrong="HTML instead of JSON",
        advice="Check that the base URL is the vendor's API",
    ),
    Mistake(
        "answer.redirect",
        "The server redirects to another one",
        lambda trial: trial.profiles_during(
            Fault("redirect", method="POST", location="https://login.example.com/", status=307)
        ),
        wrong="a redirect that is not followed",
        advice="no proxy or login page intercepts the calls",
    ),
    Mistake(
        "answer.path",
        "The base URL is that of another API of the same server",
        lambda trial: trial.profiles_with(base_url=f"{trial.sandbox.url}/elsewhere"),
        wrong="returned 404",
        advice="Check the id and the base URL",
    ),
    Mistake(
        "token.wrong",
        "The token is wrong, expired, or of another region",
        lambda trial: trial.profiles_with(access_token="2hk-token-of-the-other-region"),
        wrong="returned 401",
        advice="Check the resource's credentials",
    ),
    Mistake(
        "token.permission",
        "The token lacks a permission",
        lambda trial: trial.profiles_during(Fault("status", method="POST", status=403)),
        wrong="returned 403",
        advice="Give the token's owner the permission",
    ),
    Mistake(
        "id.unknown",
        "The id does not exist at the vendor",
        lambda trial: trial.materialize(
            build_remote_run_asset(RudderStackProfilesRun(profiles_id="2hkeBOp0lGJpMPyur0oXUxxXXXX"), key="a")
        ),
        wrong="returned 404",
        advice="Check the id",
    ),
    Mistake(
        "id.unknown-suite",
        "The suite does not exist in TestGen",
        lambda trial: trial.materialize(
            build_remote_run_asset(TestGenTestRun(test_suite_id="11111111-1111-4111-8111-111111111111"), key="a")
        ),
        wrong="returned 404",
        advice="Check the id",
    ),
    Mistake(
        "id.parameters",
        "The vendor refuses the parameters",
        lambda trial: trial.profiles_during(Fault("status", method="POST", status=422)),
        wrong="returned 422",
        advice="Correct the run's fields",
    ),
]
