"""The client-side rate limit, shared by all clients of one account in the process."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from dagster_runs.transport.rate_limit import rate_limited

# One request per half second: the shortest window of the limiter.
RATE, WINDOW = 1.99, 1 / 1.99


@pytest.fixture
def account() -> str:
    return uuid4().hex


def send(account: str, rate: float | None, *, delivery_seconds: float = 0.0) -> float:
    """Send a request that takes this long to arrive, and return its arrival time."""
    with rate_limited(account, rate):
        time.sleep(delivery_seconds)
        return time.monotonic()


def duration_of(*accounts: str, rate: float | None = RATE) -> float:
    started_at = time.monotonic()
    for account in accounts:
        send(account, rate)
    return time.monotonic() - started_at


def test_second_request_waits_for_its_turn(account: str) -> None:
    assert 0.9 * WINDOW < duration_of(account, account) < 3 * WINDOW


def test_other_accounts_do_not_wait(account: str) -> None:
    assert duration_of(account, f"{account}-2", f"{account}-3") < 0.5 * WINDOW


@pytest.mark.covers("testgen.rule.rate-limit")
def test_requests_do_not_wait_without_a_limit(account: str) -> None:
    assert duration_of(*[account] * 1000, rate=None) < 5


def test_burst_within_the_limit_does_not_wait(account: str) -> None:
    assert duration_of(*[account] * 10, rate=10) < 0.3


def test_threads_share_the_limit(account: str) -> None:
    started_at = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: send(account, RATE), range(3)))
    assert time.monotonic() - started_at > 1.8 * WINDOW


def test_different_limits_of_one_account_count_the_same_requests(account: str) -> None:
    started_at = time.monotonic()
    for _ in range(10):
        send(account, 20)
    send(account, 10)
    assert time.monotonic() - started_at > 1


def is_within_limit(arrived: list[float], limit: int) -> bool:
    arrived.sort()
    return all(later - earlier >= 1 for earlier, later in zip(arrived, arrived[limit:], strict=False))


def test_limit_holds_on_a_busy_machine(account: str) -> None:
    # Some requests wait for long, others arrive later, and all compete for the CPU.
    ready, arrived = threading.Event(), []

    def spin() -> None:
        while not ready.is_set():
            sum(range(10_000))

    def call(number: int) -> None:
        if number % 2:
            ready.wait(number * 0.02)
        arrived.append(send(account, 20))

    with ThreadPoolExecutor(42) as pool:
        for _ in range(2):
            pool.submit(spin)
        try:
            list(pool.map(call, range(40)))
        finally:
            ready.set()
    assert is_within_limit(arrived, 20)


def test_limit_holds_when_the_first_requests_take_longer_to_arrive(account: str) -> None:
    # As over new connections: if all were sent at once, they would arrive together with those of the next second.
    with ThreadPoolExecutor(30) as pool:
        arrived = list(
            pool.map(lambda number: send(account, 10, delivery_seconds=0.3 if number < 10 else 0), range(20))
        )
    assert is_within_limit(arrived, 10)


def test_request_without_a_response_does_not_block_others_forever(account: str) -> None:
    released, started_at = threading.Event(), time.monotonic()

    def hang() -> None:
        with rate_limited(account, RATE):
            released.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hang)
        time.sleep(0.1)
        send(account, RATE)
        assert time.monotonic() - started_at < 5
        released.set()
