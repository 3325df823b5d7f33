"""All clients of an account share one client-side rate limit, and each try counts."""

import time

from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply

# One request per half second: the shortest window of the limiter.
RATE, WINDOW = 1.99, 1 / 1.99


def test_clients_of_one_account_share_the_limit(origin: Origin, client_of: ClientMaker) -> None:
    started_at = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    client_of(origin.url, requests_per_second=RATE).post_once(["x"])
    assert time.monotonic() - started_at > 0.9 * WINDOW


def test_addresses_of_one_account_share_the_limit(origin: Origin, other_origin: Origin, client_of: ClientMaker) -> None:
    started_at = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    client_of(other_origin.url, requests_per_second=RATE).get(["x"])
    assert time.monotonic() - started_at > 0.9 * WINDOW


def test_each_try_counts_toward_the_limit(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [Reply(503), Reply()]
    started_at = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    assert time.monotonic() - started_at > 0.9 * WINDOW
