from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dagster_runs.transport.auth import Auth, bearer
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.clock import Clock, use_clock
from dagster_runs.transport.http_settings import HttpSettings
from tests.transport.scripted import Origin

TOKEN = "s3cret-t0ken-of-the-test"
ClientMaker = Callable[..., HttpClient]


class InstantClock(Clock):
    """A clock that records pauses instead of waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wall(self) -> float:
        return super().wall() + sum(self.pauses)

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture(autouse=True)
def clock() -> Iterator[InstantClock]:
    clock = InstantClock()
    with use_clock(clock):
        yield clock


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def running_origins() -> Iterator[tuple[Origin, Origin]]:
    with Origin() as one, Origin() as other:
        yield one, other


@pytest.fixture
def origin(running_origins: tuple[Origin, Origin]) -> Origin:
    running_origins[0].forget()
    return running_origins[0]


@pytest.fixture
def other_origin(running_origins: tuple[Origin, Origin]) -> Origin:
    running_origins[1].forget()
    return running_origins[1]


def read_error(body: Any) -> tuple[str | None, str | None]:
    return body.get("code"), body.get("message")


@pytest.fixture
def client_of() -> ClientMaker:
    def make(base_url: str, *, auth: Auth | None = None, token: str = TOKEN, **settings: Any) -> HttpClient:
        return HttpClient(
            vendor="Acme",
            base_url=base_url,
            account="test",
            auth=auth or bearer(token),
            settings=HttpSettings(**settings),
            read_error=read_error,
            user_agent="dagster-runs/test",
        )

    return make


@pytest.fixture
def client(client_of: ClientMaker, origin: Origin) -> HttpClient:
    return client_of(origin.url)
