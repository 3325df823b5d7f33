"""One sandbox for the whole folder, its time standing still but for `advance`, and fresh for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from dagster_runs.sandbox import Sandbox, well_known


class Api:
    """A plain HTTP client of one mount."""

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 10)
        options.setdefault("allow_redirects", False)
        return self.session.request(method, self.base_url + path, **options)

    def json(self, method: str, path: str, **options: Any) -> Any:
        answer = self(method, path, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    with Sandbox(speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def api_of(sandbox: Sandbox) -> Iterator[Callable[[str, str], Api]]:
    made: list[Api] = []

    def make(path: str, token: str) -> Api:
        made.append(Api(sandbox.url + path, token))
        return made[-1]

    yield make
    for api in made:
        api.session.close()


@pytest.fixture
def rudderstack(api_of: Callable[[str, str], Api]) -> Api:
    return api_of("/rudderstack/v2", well_known.RUDDERSTACK_TOKEN)


@pytest.fixture
def amperity(sandbox: Sandbox, api_of: Callable[[str, str], Api]) -> Api:
    """Without the rate limit: tests are faster than a client may be."""
    sandbox.configure("amperity", requests_per_second=None)
    api = api_of("/amperity/api", well_known.AMPERITY_TOKEN)
    api.session.headers.update({"amperity-tenant": well_known.AMPERITY_TENANT, "api-version": "2024-04-01"})
    return api


@pytest.fixture
def segmentflow(api_of: Callable[[str, str], Api]) -> Api:
    api = api_of("/segmentflow/api/v1", "")
    del api.session.headers["Authorization"]
    api.session.headers["x-api-key"] = well_known.SEGMENTFLOW_API_KEY
    return api


@pytest.fixture
def prophecy(api_of: Callable[[str, str], Api]) -> Api:
    api = api_of("/prophecy/api/trigger/pipeline", "")
    del api.session.headers["Authorization"]
    api.session.headers["X-AUTH-TOKEN"] = well_known.PROPHECY_TOKEN
    return api


@pytest.fixture
def testgen(api_of: Callable[[str, str], Api]) -> Api:
    return api_of("/testgen/api/v1", well_known.TESTGEN_TOKEN)


@pytest.fixture
def testgen_old(api_of: Callable[[str, str], Api]) -> Api:
    return api_of("/testgen-old/api/v1", well_known.TESTGEN_TOKEN)
