"""One sandbox for all tests in this folder. Its time moves only with `advance`, and it is reset before each test."""

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
        response = self(method, path, **options)
        assert response.status_code < 300, response.text
        return response.json()


@pytest.fixture(scope="session")
def server() -> Iterator[Sandbox]:
    with Sandbox(speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def api_factory(sandbox: Sandbox) -> Iterator[Callable[[str, str], Api]]:
    apis: list[Api] = []

    def make_api(path: str, token: str) -> Api:
        apis.append(Api(sandbox.url + path, token))
        return apis[-1]

    yield make_api
    for api in apis:
        api.session.close()


@pytest.fixture
def rudderstack(api_factory: Callable[[str, str], Api]) -> Api:
    return api_factory("/rudderstack/v2", well_known.RUDDERSTACK_TOKEN)


@pytest.fixture
def amperity(sandbox: Sandbox, api_factory: Callable[[str, str], Api]) -> Api:
    """Without the rate limit, because the tests send requests faster than it allows."""
    sandbox.configure("amperity", requests_per_second=None)
    api = api_factory("/amperity/api", well_known.AMPERITY_TOKEN)
    api.session.headers.update({"amperity-tenant": well_known.AMPERITY_TENANT, "api-version": "2024-04-01"})
    return api


@pytest.fixture
def segmentflow(api_factory: Callable[[str, str], Api]) -> Api:
    api = api_factory("/segmentflow/api/v1", "")
    del api.session.headers["Authorization"]
    api.session.headers["x-api-key"] = well_known.SEGMENTFLOW_API_KEY
    return api


@pytest.fixture
def prophecy(api_factory: Callable[[str, str], Api]) -> Api:
    api = api_factory("/prophecy/api/trigger/pipeline", "")
    del api.session.headers["Authorization"]
    api.session.headers["X-AUTH-TOKEN"] = well_known.PROPHECY_TOKEN
    return api


@pytest.fixture
def testgen(api_factory: Callable[[str, str], Api]) -> Api:
    return api_factory("/testgen/api/v1", well_known.TESTGEN_TOKEN)


@pytest.fixture
def testgen_old(api_factory: Callable[[str, str], Api]) -> Api:
    return api_factory("/testgen-old/api/v1", well_known.TESTGEN_TOKEN)
