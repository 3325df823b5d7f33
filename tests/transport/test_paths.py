"""Ids are percent-encoded whole, and no id reaches another endpoint."""

from functools import partial
from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import InvalidRequestError
from dagster_runs.transport.url import join_path
from tests.transport.scripted import Origin

REFUSED = ["", ".", "..", "\n", "a\nb", "a\r\nHost: evil", "\x00", "\t"]
ENCODED = {
    "../x": "..%2Fx",
    "..\\x": "..%5Cx",
    "a/b": "a%2Fb",
    "/": "%2F",
    "//evil.example.com": "%2F%2Fevil.example.com",
    "?": "%3F",
    "a?b=c": "a%3Fb%3Dc",
    "#": "%23",
    "a%2Fb": "a%252Fb",
    "%2e%2e": "%252e%252e",
    "%00": "%2500",
    "a;b": "a%3Bb",
    "a b": "a%20b",
    " ": "%20",
    "...": "...",
    "cGlwZWxpbmU==": "cGlwZWxpbmU%3D%3D",
    "a+b": "a%2Bb",
    "@evil": "%40evil",
    "é": "%C3%A9",
    "💥": "%F0%9F%92%A5",
    "2hkeBOp0lGJpMPyur0oXUxxIDhw": "2hkeBOp0lGJpMPyur0oXUxxIDhw",
}


@pytest.mark.parametrize("an_id", ENCODED)
def test_id_is_sent_as_one_encoded_segment(an_id: str, origin: Origin, client: HttpClient) -> None:
    client.get(["sources", an_id, "start"])
    client.post_once(["sources", an_id, "start"])
    assert [seen.path for seen in origin.seen] == [f"/sources/{ENCODED[an_id]}/start"] * 2


@pytest.mark.parametrize("an_id", REFUSED)
def test_unencodable_id_is_rejected_before_sending(an_id: str, origin: Origin, client: HttpClient) -> None:
    for send in (client.get, partial(client.send_repeatable, "DELETE"), client.post_once):
        with pytest.raises(InvalidRequestError, match="nothing was sent") as raised:
            send(["sources", an_id, "start"])
        assert str(raised.value).isprintable()
    assert origin.seen == []


@settings(deadline=None)
@given(st.text(max_size=20))
@example("%2e%2e%2f")
@example("..;/")
@example("\x7f")
def test_ids_never_reach_another_endpoint(an_id: str) -> None:
    try:
        path = join_path(["sources", an_id, "start"], vendor="Acme", method="GET")
    except InvalidRequestError:
        return
    sent = requests.Request("GET", f"https://api.example.com/v2{path}").prepare()
    assert urlsplit(sent.url).netloc == "api.example.com"
    assert [unquote(part) for part in sent.path_url.split("/")] == ["", "v2", "sources", an_id, "start"]


def test_query_parameters_are_encoded(origin: Origin, client: HttpClient) -> None:
    client.get(["x"], params={"a": "1&b=2", "c": 3})
    assert origin.seen[0].path == "/x?a=1%26b%3D2&c=3"
