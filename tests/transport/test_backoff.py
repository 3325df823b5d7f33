"""How responses with 429 slow down everything in this process that uses the same account."""

from statistics import mean

import pytest

from dagster_runs.transport import backoff
from dagster_runs.transport.auth import RenewedToken, Token
from dagster_runs.transport.backoff import FIRST_PAUSE, MAX_PAUSE, Backoff
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import RateLimitedError, ServerError
from dagster_runs.transport.redaction import Redactor
from tests.transport.conftest import ClientMaker, InstantClock
from tests.transport.scripted import Origin, Reply


@pytest.fixture(autouse=True)
def _no_earlier_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_backoffs", {})


def observe(observed: Backoff, clock: InstantClock, *statuses: int, retry_after: str | None = None) -> None:
    for status in statuses:
        observed.observe(status, retry_after, sent_at=clock.monotonic())


def mean_pause(observed: Backoff) -> float:
    return mean(observed.pause() for _ in range(2000))


class TestBackoff:
    def test_nothing_is_postponed_without_a_refusal(self, clock: InstantClock) -> None:
        observed = Backoff()
        observe(observed, clock, 200, 404, 503)
        assert observed.pause() == 0
        assert not observed.is_slowed_down

    def test_each_refusal_doubles_the_pause_up_to_the_maximum(self, clock: InstantClock) -> None:
        observed = Backoff()
        means = []
        for _ in range(6):
            observe(observed, clock, 429)
            means.append(mean_pause(observed))
        expected = [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE, MAX_PAUSE, MAX_PAUSE]
        assert means == pytest.approx(expected, rel=0.1)

    def test_pauses_are_spread(self, clock: InstantClock) -> None:
        observed = Backoff()
        observe(observed, clock, 429)
        pauses = [observed.pause() for _ in range(1000)]
        assert min(pauses) < 0.1 * FIRST_PAUSE
        assert max(pauses) > 1.9 * FIRST_PAUSE

    def test_accepted_requests_shorten_the_pause_until_it_is_forgotten(self, clock: InstantClock) -> None:
        observed = Backoff()
        observe(observed, clock, 429, 200)
        assert mean_pause(observed) == pytest.approx(0.9 * FIRST_PAUSE, rel=0.1)
        observe(observed, clock, *[200] * 30)
        assert observed.pause() == 0
        assert not observed.is_slowed_down

    def test_server_errors_do_not_shorten_the_pause(self, clock: InstantClock) -> None:
        observed = Backoff()
        observe(observed, clock, 429, *[503] * 30)
        assert mean_pause(observed) == pytest.approx(FIRST_PAUSE, rel=0.1)

    def test_requests_that_were_refused_together_count_once(self, clock: InstantClock) -> None:
        observed = Backoff()
        sent_at = clock.monotonic()
        for _ in range(8):
            observed.observe(429, None, sent_at=sent_at)
        assert mean_pause(observed) == pytest.approx(FIRST_PAUSE, rel=0.1)

    def test_retry_after_postpones_the_next_request(self, clock: InstantClock) -> None:
        observed = Backoff()
        observe(observed, clock, 429, retry_after="30")
        assert observed.retry_after == pytest.approx(30, abs=1)
        assert all(29 <= observed.pause() <= 30 + 2 * FIRST_PAUSE for _ in range(100))
        clock.sleep(31)
        assert observed.retry_after == 0

    def test_waiting_for_the_rate_limit_postpones_the_next_requests(self, clock: InstantClock) -> None:
        observed = Backoff()
        observed.observe(200, None, sent_at=clock.monotonic(), delayed=3.0)
        assert observed.is_slowed_down
        assert mean_pause(observed) == pytest.approx(3, rel=0.1)
        observe(observed, clock, *[200] * 40)
        assert not observed.is_slowed_down
        assert mean_pause(observed) < 0.1


class TestClient:
    def test_retry_after_applies_to_the_next_call_of_any_client(
        self, origin: Origin, client_of: ClientMaker, clock: InstantClock
    ) -> None:
        origin.replies = [Reply(429, headers={"Retry-After": "20"}), Reply()]
        with pytest.raises(RateLimitedError):
            client_of(origin.url, max_retries=0).get(["x"])
        assert clock.pauses == []
        client_of(origin.url).get(["y"])
        assert clock.pauses == [pytest.approx(20, abs=1)]

    def test_with_a_call_budget_a_read_does_not_wait_for_a_long_retry_after(
        self, origin: Origin, client: HttpClient, clock: InstantClock
    ) -> None:
        origin.replies = [Reply(429, headers={"Retry-After": "100"}), Reply()]
        for _ in range(3):
            with client.with_call_budget(), pytest.raises(RateLimitedError):
                client.get(["x"])
        assert len(origin.seen) == 1
        assert clock.pauses == []
        with client.with_call_budget(), pytest.raises(RateLimitedError, match="not sent, because the vendor refused"):
            client.get(["x"])

    def test_with_a_call_budget_a_cancellation_is_sent_despite_retry_after(
        self, origin: Origin, client: HttpClient
    ) -> None:
        origin.replies = [Reply(429, headers={"Retry-After": "100"}), Reply()]
        with client.with_call_budget():
            with pytest.raises(RateLimitedError):
                client.get(["x"])
            client.send_repeatable("POST", ["jobs", "1", "cancel"])
        assert [seen.method for seen in origin.seen] == ["GET", "POST"]

    def test_refusals_can_be_left_to_the_caller(self, origin: Origin, client: HttpClient, clock: InstantClock) -> None:
        origin.replies = [Reply(503), Reply(429), Reply()]
        with client.without_rate_limit_retries(), pytest.raises(RateLimitedError):
            client.get(["x"])
        assert len(origin.seen) == 2
        assert len(clock.pauses) == 1, "the 503 was retried"
        assert client.backoff.is_slowed_down
        client.get(["x"])

    def test_refused_login_can_be_left_to_the_caller(self, origin: Origin, client_of: ClientMaker) -> None:
        login = client_of(origin.url)

        def fetch() -> Token:
            return Token(login.send_repeatable("POST", ["token"], keep_secrets=True).json["token"], 3600)

        token = RenewedToken(fetch, vendor="Acme", redactor=Redactor([]), hint="")
        client = client_of(origin.url, auth=token)
        origin.replies = [Reply(429), Reply(200, {"token": "t0ken"}), Reply()]
        with client.without_rate_limit_retries():
            with pytest.raises(RateLimitedError) as raised:
                client.post_once(["start"])
            assert not raised.value.may_have_been_accepted
            client.post_once(["start"])
        assert [seen.path for seen in origin.seen] == ["/token", "/token", "/start"]

    def test_other_accounts_are_not_slowed_down(self, origin: Origin, other_origin: Origin) -> None:
        one, other = backoff.backoff_of("Acme one"), backoff.backoff_of("Acme other")
        one.observe(429, "30", sent_at=float("inf"))
        assert one.is_slowed_down
        assert not other.is_slowed_down

    def test_503_with_retry_after_applies_to_the_next_call_too(
        self, origin: Origin, client_of: ClientMaker, clock: InstantClock
    ) -> None:
        origin.replies = [Reply(503, headers={"Retry-After": "20"}), Reply()]
        with pytest.raises(ServerError):
            client_of(origin.url, max_retries=0).get(["x"])
        client_of(origin.url).get(["x"])
        assert clock.pauses == [pytest.approx(20, abs=1)]
