"""No secret appears in an error, log or `repr`, no matter how a server encodes it."""

import base64
import json
import logging
import re
import traceback
from urllib.parse import quote, quote_plus

import pytest

from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.transport.auth import HeaderAuth, bearer
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import VendorError
from dagster_runs.transport.redaction import MASK, Redactor
from tests.transport.conftest import TOKEN, ClientMaker
from tests.transport.scripted import Origin, Reply

HARD = "T0k/en+with=odd\"chars\\and'more&<é>"
SPELLINGS = {
    "as it is": lambda secret: secret,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: re.sub(
        "%..", lambda code: code.group().lower(), quote(secret, safe="")
    ),
    "as a form": quote_plus,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 without padding": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON with its letters": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "JSON as PHP writes it": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
}


def message(error: BaseException) -> str:
    """Returns everything that a log or an event could show of an error."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    return "\n".join([*parts, *traceback.format_exception(error)])


def refused(client: HttpClient) -> str:
    with pytest.raises(VendorError) as raised:
        client.post_once(["x"], json={})
    return message(raised.value)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", ["AbCd/EfGh+IjKl==", HARD], ids=["token", "hard"])
def test_secret_is_redacted_in_every_spelling(spelling: str, secret: str) -> None:
    shown = SPELLINGS[spelling](secret)
    assert Redactor([secret]).clean(f"before {shown} after") == f"before {MASK} after"


def test_short_secrets_are_not_redacted() -> None:
    assert Redactor(["", None, "abc"]).clean("abcdef") == "abcdef"


def test_longer_secret_is_redacted_before_one_inside_it() -> None:
    assert Redactor(["inner-one", "the-inner-one-too"]).clean("the-inner-one-too") == MASK


def test_old_renewed_tokens_are_no_longer_redacted() -> None:
    redactor = Redactor([TOKEN])
    tokens = [f"token-number-{number:04}" for number in range(1000)]
    for token in tokens:
        redactor.add_temporary(token)
        assert redactor.clean(f"{TOKEN} {token}") == f"{MASK} {MASK}"
    assert redactor.clean(tokens[-10]) == MASK
    assert redactor.clean(tokens[0]) == tokens[0]


def test_decoded_response_is_redacted_at_every_level() -> None:
    value = {"a": [TOKEN, {"b": f"x{TOKEN}y"}], TOKEN: 1, "n": 5, "z": None}
    cleaned = Redactor([TOKEN]).clean_json(value)
    assert cleaned == {"a": [MASK, {"b": f"x{MASK}y"}], MASK: 1, "n": 5, "z": None}


ECHOES = {
    "JSON message": lambda echo: Reply(400, {"message": f"bad token {echo}"}),
    "JSON code": lambda echo: Reply(400, {"code": echo, "message": "no"}),
    "undocumented JSON": lambda echo: Reply(400, {"reason": [echo]}),
    "text": lambda echo: Reply(500, f"cannot use {echo}"),
    "HTML": lambda echo: Reply(502, f"<html><body>{echo}</body></html>"),
    "HTML with 200": lambda echo: Reply(200, f"<html><body>{echo}</body></html>"),
    "broken JSON": lambda echo: Reply(200, json.dumps({"message": echo})[:-1]),
    "broken JSON of an error": lambda echo: Reply(500, json.dumps({"message": echo})[:-1]),
    "request id": lambda echo: Reply(500, {"message": "no"}, {"X-Request-Id": echo}),
    "retry-after": lambda echo: Reply(429, {"message": "no"}, {"Retry-After": echo}),
    "redirect": lambda echo: Reply(302, "", {"Location": f"https://login.example.com/?token={echo}"}),
}


@pytest.mark.parametrize("place", ECHOES)
@pytest.mark.parametrize("token", [TOKEN, "AbCd/EfGh+IjKl==", "with\"quotes'and\\slashes"])
def test_echoed_token_is_redacted_in_errors(place: str, token: str, origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [ECHOES[place](token)]
    text = refused(client_of(origin.url, token=token))
    # Also as a Python literal, which is how `repr` spells it.
    for shown in (token, repr(token)[1:-1], json.dumps(token)[1:-1]):
        assert shown not in text


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("before", [270, 285, 295])
def test_secret_cut_off_by_the_excerpt_is_redacted(
    status: int, before: int, origin: Origin, client: HttpClient
) -> None:
    origin.replies = [Reply(status, "x" * before + TOKEN)]
    assert TOKEN[:5] not in refused(client)


@pytest.mark.parametrize("end", ["\n", "\r\n", "…", "\x00"])
def test_token_invalid_in_a_header_is_reported_without_the_token(
    end: str, origin: Origin, client_of: ClientMaker
) -> None:
    # A token read from a file, including the end of the line.
    with pytest.raises(VendorError) as raised:
        client_of(origin.url, token=TOKEN + end).get(["x"])
    assert TOKEN not in message(raised.value)
    assert origin.seen == []


def test_echoed_credentials_are_not_quoted(sandbox: Sandbox, client_of: ClientMaker) -> None:
    sandbox.add_fault(Fault("echo_secret"))
    token = well_known.RUDDERSTACK_TOKEN
    text = refused(client_of(f"{sandbox.url}/rudderstack", token=token))
    assert "upstream refused the request" in text
    assert token not in text


def test_echoed_credentials_in_a_response_are_redacted(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, {"you_sent": [f"Bearer {TOKEN}"]})]
    assert client.get(["x"]).json == {"you_sent": [f"Bearer {MASK}"]}


def test_tokens_are_not_logged_at_any_level(
    origin: Origin, client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    origin.replies = [Reply(503, {"message": TOKEN}), Reply(200, {"token": TOKEN})]
    client.get(["x"], params={"a": 1})
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("thing", ["auth", "redactor", "client", "header auth"])
def test_reprs_do_not_contain_the_token(thing: str, origin: Origin, client: HttpClient) -> None:
    things = {
        "auth": bearer(TOKEN),
        "redactor": Redactor([TOKEN]),
        "client": client,
        "header auth": HeaderAuth({"x-api-key": TOKEN}, secrets=(TOKEN,)),
    }
    assert TOKEN not in repr(things[thing])
    assert TOKEN not in str(things[thing])


def test_keep_secrets_leaves_the_response_unredacted(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, {"access_token": TOKEN})]
    assert client.send_repeatable("POST", ["oauth", "token"], form={}, keep_secrets=True).json == {
        "access_token": TOKEN
    }


@pytest.mark.parametrize("body", ['{"access_token": "a-brand-new-one", "exp', "token=a-brand-new-one"])
def test_keep_secrets_response_is_not_quoted_in_errors(body: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, body)]
    with pytest.raises(VendorError) as raised:
        client.send_repeatable("POST", ["oauth", "token"], form={}, keep_secrets=True)
    assert "a-brand-new-one" not in message(raised.value)
