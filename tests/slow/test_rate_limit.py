"""The client-side rate limit, shared by everything in the process that talks to one account."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from dagster_runs.transport.rate_limit import turn

# One request in half a second: the shortest window that the limit has.
RATE, WINDOW = 1.99, 1 / 1.99


@pytest.fixture
def account() -> str:
    return uuid4().hex


def take(account: str, rate: float | None, *, on_the_way: float = 0.0) -> float:
    """A request that takes so long to arrive; when it did."""
    with turn(account, rate):
        time.sleep(on_the_way)
        return time.monotonic()


def seconds_for(*accounts: str, rate: float | None = RATE) -> float:
    begun = time.monotonic()
    for account in accounts:
        take(account, rate)
    return time.monotonic() - begun


def test_a_second_request_waits_for_its_turn(account: str) -> None:
    assert 0.9 * WINDOW < seconds_for(account, account) < 3 * WINDOW


def test_other_accounts_do_not_wait(account: str) -> None:
    assert seconds_for(account, f"{account}-2", f"{account}-3") < 0.5 * WINDOW


@pytest.mark.covers("testgen.rule.rate-limit")
def test_without_a_limit_nobody_waits(account: str) -> None:
    assert seconds_for(*[account] * 1000, rate=None) < 5


def test_a_burst_within_the_limit_does_not_wait(account: str) -> None:
    assert seconds_for(*[account] * 10, rate=10) < 0.3


def test_threads_share_it(account: str) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: take(account, RATE), range(3)))
    assert time.monotonic() - begun > 1.8 * WINDOW


def test_different_limits_of_one_account_count_the_same_requests(account: str) -> None:
    begun = time.monotonic()
    for _ in range(10):
        take(account, 20)
    take(account, 10)
    assert time.monotonic() - begun > 1


def no_second_has_more(arrived: list[float], most: int) -> bool:
    arrived.sort()
    return all(later - earlier >= 1 for earlier, later in zip(arrived, arrived[most:], strict=False))


def test_no_second_has_more_however_busy_the_machine(account: str) -> None:
    # Some wait long, others come fresh; and all fight for the processor.
    ready, arrived = threading.Event(), []

    def spin() -> None:
        while not ready.is_set():
            sum(range(10_000))

    def call(number: int) -> None:
        if number % 2:
            ready.wait(number * 0.02)
        arrived.append(take(account, 20))

    with ThreadPoolExecutor(42) as pool:
        for _ in range(2):
            pool.submit(spin)
        try:
            list(pool.map(call, range(40)))
        finally:
            ready.set()
    assert no_second_has_more(arrived, 20)


def test_no_second_has_more_where_the_first_ones_take_longer_to_arrive(account: str) -> None:
    # As they do over new connections: let through at once, they arrive when the next second's are on their way.
    with ThreadPoolExecutor(30) as pool:
        arrived = list(pool.map(lambda number: take(account, 10, on_the_way=0.3 if number < 10 else 0), range(20)))
    assert no_second_has_more(arrived, 10)


def test_one_that_is_never_answered_does_not_hold_the_others_up_for_ever(account: str) -> None:
    over, begun = threading.Event(), time.monotonic()

    def hang() -> None:
        with turn(account, RATE):
            over.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hang)
        time.sleep(0.1)
        take(account, RATE)
        assert time.monotonic() - begun < 5
        over.set()
