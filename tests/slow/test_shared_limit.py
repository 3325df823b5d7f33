"""The client-side rate limit is one for all clients of an account, and each try counts."""

import time

from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply

# One request in half a second: the shortest window that the limit has.
RATE, WINDOW = 1.99, 1 / 1.99


def test_clients_of_one_account_share_it(origin: Origin, client_of: ClientMaker) -> None:
    begun = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    client_of(origin.url, requests_per_second=RATE).post_once(["x"])
    assert time.monotonic() - begun > 0.9 * WINDOW


def test_an_account_at_several_addresses_is_one(origin: Origin, other_origin: Origin, client_of: ClientMaker) -> None:
    begun = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    client_of(other_origin.url, requests_per_second=RATE).get(["x"])
    assert time.monotonic() - begun > 0.9 * WINDOW


def test_each_try_counts(origin: Origin, client_of: ClientMaker) -> None:
    origin.replies = [Reply(503), Reply()]
    begun = time.monotonic()
    client_of(origin.url, requests_per_second=RATE).get(["x"])
    assert time.monotonic() - begun > 0.9 * WINDOW
