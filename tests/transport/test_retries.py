"""Which requests are retried, and after which pauses."""

import socket
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import (
    ConnectionFailedError,
    RateLimitedError,
    ServerError,
    UnexpectedResponseError,
    VendorError,
)
from dagster_runs.transport.retry import FIRST_DELAY, MAX_DELAY, MAX_RETRY_AFTER, retry_after_seconds
from tests.transport.conftest import ClientMaker, InstantClock
from tests.transport.scripted import Origin, Reply, cut_off, hang_up, silent

RETRIED = [408, 425, 429, 500, 502, 503, 504, 520, 599]
NOT_RETRIED = [400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 415, 418, 422, 423, 451]


@pytest.mark.parametrize("status", RETRIED)
@pytest.mark.covers("rudderstack.error.500", "amperity.error.429", "segmentflow.error.429", "prophecy.error.429")
def test_get_is_retried_after_status(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status), Reply(status), Reply(200, {"ok": 1})]
    assert client.get(["x"]).json == {"ok": 1}
    assert len(origin.seen) == 3


@pytest.mark.parametrize("status", NOT_RETRIED)
def test_get_is_not_retried_after_status(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status)]
    with pytest.raises(VendorError):
        client.get(["x"])
    assert len(origin.seen) == 1


@pytest.mark.parametrize("failure", [hang_up, cut_off(), cut_off(503), silent])
def test_get_is_retried_after_a_broken_connection(failure: object, origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [failure, Reply(200, {"ok": 1})]  # type: ignore[list-item]
    assert client_of(origin.url, request_timeout=0.2).get(["x"]).json == {"ok": 1}


def test_cancel_is_retried(origin: Origin, client: HttpClient) -> None:
    origin.replies = [hang_up, Reply(503), Reply(200)]
    client.send_repeatable("POST", ["jobs", "1", "cancel"])
    assert [seen.method for seen in origin.seen] == ["POST"] * 3


@pytest.mark.parametrize("body", ["<html>hello</html>", "OK", ""])
def test_non_json_response_is_not_retried(body: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(200, body)]
    with pytest.raises(UnexpectedResponseError):
        client.get(["x"])
    assert len(origin.seen) == 1


@pytest.mark.parametrize("max_retries", [0, 1, 4])
def test_retries_stop_after_max_retries(max_retries: int, origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [Reply(503)]
    with pytest.raises(ServerError):
        client_of(origin.url, max_retries=max_retries).get(["x"])
    assert len(origin.seen) == 1 + max_retries


def test_last_error_is_raised(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [hang_up, Reply(503), Reply(429, {"message": "slow down"})]
    with pytest.raises(RateLimitedError, match="slow down"):
        client_of(origin.url, max_retries=2).get(["x"])


def test_retries_stop_at_the_overall_deadline(origin: Origin, client_of: ClientMaker, clock: InstantClock) -> None:
    origin.replies = [Reply(503)]
    with pytest.raises(ServerError):
        client_of(origin.url, max_retries=10_000, overall_timeout=60).get(["x"])
    assert 60 - MAX_DELAY <= sum(clock.pauses) <= 60


def test_pause_that_would_exceed_the_deadline_is_skipped(
    origin: Origin, client_of: ClientMaker, clock: InstantClock
) -> None:
    origin.replies = [Reply(503, headers={"Retry-After": "100"})]
    with pytest.raises(ServerError):
        client_of(origin.url, overall_timeout=60).get(["x"])
    assert clock.pauses == []


def test_pauses_grow_within_bounds(origin: Origin, client_of: ClientMaker, clock: InstantClock) -> None:
    origin.replies = [Reply(503)]
    for _ in range(3):
        with pytest.raises(ServerError):
            client_of(origin.url, max_retries=9, overall_timeout=1e6).get(["x"])
    for number, pause in enumerate(clock.pauses):
        assert FIRST_DELAY / 2 <= pause <= min(MAX_DELAY, 2 * FIRST_DELAY * 2 ** (number % 9))
    assert max(clock.pauses) > 4 * FIRST_DELAY


@pytest.mark.covers("amperity.error.429")
def test_pauses_are_jittered(origin: Origin, client_of: ClientMaker, clock: InstantClock) -> None:
    origin.replies = [Reply(503)]
    for _ in range(8):
        with pytest.raises(ServerError):
            client_of(origin.url, max_retries=1).get(["x"])
    assert len(set(clock.pauses)) == 8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        (formatdate(9_000_000, usegmt=True), MAX_RETRY_AFTER),
        ("86400", MAX_RETRY_AFTER),
        ("1e300", MAX_RETRY_AFTER),
        ("inf", MAX_RETRY_AFTER),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Wed, 99 Foo 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 99999999999999999999 Oct 2015 07:28:00 GMT", None),
    ],
)
@pytest.mark.covers(
    "rudderstack.rule.rate-limit",
    "amperity.rule.retry-after",
    "segmentflow.rule.retry-after",
    "prophecy.rule.rate-limits",
)
def test_retry_after_header_is_parsed(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=1_000_000) == seconds


@settings(deadline=None)
@given(st.text() | st.datetimes().map(format_datetime))
@example("Wed, 21 Oct 2015 07:28:00 -9999999999")
@example("9" * 5000)
def test_retry_after_values_are_bounded(header: str) -> None:
    seconds = retry_after_seconds(header, now=1_000_000)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["20", "date"])
def test_retry_after_header_sets_the_pause(
    status: int, asked: str, origin: Origin, client: HttpClient, clock: InstantClock
) -> None:
    header = formatdate(clock.wall() + 20, usegmt=True) if asked == "date" else asked
    origin.replies = [Reply(status, headers={"Retry-After": header}), Reply()]
    client.get(["x"])
    [pause] = clock.pauses
    assert 18.5 <= pause <= 20


def test_retry_after_zero_still_pauses(origin: Origin, client: HttpClient, clock: InstantClock) -> None:
    origin.replies = [Reply(429, headers={"Retry-After": "0"}), Reply()]
    client.get(["x"])
    assert clock.pauses[0] >= FIRST_DELAY / 2


def test_invalid_retry_after_is_ignored(origin: Origin, client: HttpClient, clock: InstantClock) -> None:
    origin.replies = [Reply(429, headers={"Retry-After": "when I am back"}), Reply()]
    client.get(["x"])
    assert clock.pauses[0] <= 2 * FIRST_DELAY


class TestAStart:
    """`post_once` is never retried by default."""

    @pytest.mark.parametrize("status", [*RETRIED, *NOT_RETRIED])
    @pytest.mark.covers("rudderstack.rule.idempotency-key", "prophecy.error.429")
    def test_is_not_retried_after_status(self, status: int, origin: Origin, client: HttpClient) -> None:
        origin.replies = [Reply(status)]
        with pytest.raises(VendorError):
            client.post_once(["start"], json={})
        assert len(origin.seen) == 1

    @pytest.mark.parametrize("failure", [hang_up, cut_off(), cut_off(503), silent])
    def test_is_not_retried_after_a_broken_connection(
        self, failure: object, origin: Origin, client_of: ClientMaker
    ) -> None:
        origin.replies = [failure]  # type: ignore[list-item]
        with pytest.raises(ConnectionFailedError):
            client_of(origin.url, request_timeout=0.2).post_once(["start"], json={})
        assert len(origin.seen) == 1

    @pytest.mark.parametrize(("status", "sent"), [(429, 3), (503, 1), (500, 1), (408, 1), (409, 1), (422, 1)])
    @pytest.mark.covers("segmentflow.error.429", "start.429")
    def test_is_retried_if_it_cannot_have_been_accepted(
        self, status: int, sent: int, origin: Origin, client_of: ClientMaker
    ) -> None:
        origin.replies = [Reply(status)]
        client = client_of(origin.url, max_retries=2)
        with pytest.raises(VendorError):
            client.retrying(repeatable=False)(client.post_once, ["start"], json={})
        assert len(origin.seen) == sent

    @pytest.mark.covers("start.no-connection")
    def test_is_retried_if_no_connection_can_be_opened(self, client_of: ClientMaker, clock: InstantClock) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # does not listen, so connections are refused
            client = client_of(f"http://127.0.0.1:{unused.getsockname()[1]}", max_retries=2)
            with pytest.raises(ConnectionFailedError) as raised:
                client.retrying(repeatable=False)(client.post_once, ["start"], json={})
        assert not raised.value.may_have_been_accepted
        assert len(clock.pauses) == 2

    def test_is_retried_with_an_idempotency_key(self, origin: Origin, client: HttpClient) -> None:
        origin.replies = [hang_up, Reply(503), Reply(200, {"runId": "r"})]
        client.retrying(repeatable=True)(client.post_once, ["start"], json={}, headers={"Idempotency-Key": "k"})
        assert [seen.headers["idempotency-key"] for seen in origin.seen] == ["k"] * 3

    def test_uses_a_new_connection(self, origin: Origin, client: HttpClient) -> None:
        for _ in range(2):
            client.get(["x"])
        for _ in range(2):
            client.post_once(["start"])
        client.get(["x"])
        read, read_again, start, start_again, last = (seen.connection for seen in origin.seen)
        assert read == read_again == last
        assert len({read, start, start_again}) == 3

    def test_has_a_body_only_if_json_is_given(self, origin: Origin, client: HttpClient) -> None:
        client.post_once(["start"])
        client.post_once(["start"], json={"a": 1})
        assert [seen.body for seen in origin.seen] == [b"", b'{"a": 1}']
        assert [seen.headers.get("content-type") for seen in origin.seen] == [None, "application/json"]


def test_retries_outlast_a_short_outage(sandbox: Sandbox, client_of: ClientMaker) -> None:
    sandbox.add_fault(Fault("reset", times=2))
    sandbox.add_fault(Fault("status", status=503, times=2))
    client = client_of(f"{sandbox.url}/testgen/api/v1", token=well_known.TESTGEN_TOKEN)
    assert client.get(["health"]).json["status"] == "ok"
    assert [request.fault for request in sandbox.requests("testgen")] == ["reset", "reset", "status", "status", None]
