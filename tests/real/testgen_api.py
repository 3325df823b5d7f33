"""A small client of TestGen's API, standard library only.

The harness prepares the server with it, and tests use it to check what happened on the server without the
code under test.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

_REDIRECT = "http://localhost/callback"


class ApiError(Exception):
    """An unexpected response."""

    def __init__(self, method: str, path: str, status: int, text: str) -> None:
        super().__init__(f"{method} {path} answered {status}: {text[:500]}")
        self.status = status


@dataclass(frozen=True)
class Grant:
    """The result of one login of a confidential client. Grants are independent of each other."""

    access_token: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


def send(
    base_url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    """Sends a request without redirects or proxies; returns status, headers with lower-case names, and text."""
    url = urlsplit(base_url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, text
    finally:
        connection.close()


def login(base_url: str, username: str, password: str) -> Grant:
    """Logs in with an OAuth 2.1 authorization code and PKCE, TestGen's only initial login, without a browser."""
    form = {"content-type": "application/x-www-form-urlencoded"}

    def call(path: str, body: str, headers: dict[str, str], expected: int) -> tuple[dict[str, str], str]:
        status, reply, text = send(base_url, "POST", path, body.encode(), headers)
        if status != expected:
            raise ApiError("POST", path, status, text)
        return reply, text

    registration = {"client_name": "dagster-runs tests", "redirect_uris": [_REDIRECT]}
    _, text = call("/oauth/register", json.dumps(registration), {"content-type": "application/json"}, 201)
    client = json.loads(text)
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    reply, _ = call(
        "/oauth/authorize",
        urlencode(
            {
                "username": username,
                "password": password,
                "client_id": client["client_id"],
                "redirect_uri": _REDIRECT,
                "response_type": "code",
                "state": "state",
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        ),
        form,
        302,
    )
    code = parse_qs(urlsplit(reply["location"]).query)["code"][0]
    basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    _, text = call(
        "/oauth/token",
        urlencode(
            {"grant_type": "authorization_code", "code": code, "redirect_uri": _REDIRECT, "code_verifier": verifier}
        ),
        {**form, "authorization": f"Basic {basic}"},
        200,
    )
    token = json.loads(text)
    return Grant(token["access_token"], client["client_id"], client["client_secret"], token["refresh_token"])


@dataclass(frozen=True)
class Api:
    """The endpoints under ``/api/v1``."""

    base_url: str
    access_token: str = field(repr=False)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Returns the JSON response of the server; any status except 2xx raises :class:`ApiError`."""
        headers = {"authorization": f"Bearer {self.access_token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        status, _, text = send(self.base_url, method, f"/api/v1{path}", data, headers)
        if not 200 <= status < 300:
            raise ApiError(method, path, status, text)
        return json.loads(text)

    def get(self, path: str) -> Any:
        """``call("GET", path)``."""
        return self.call("GET", path)

    def jobs(self, project_code: str = "DEFAULT") -> list[dict[str, Any]]:
        """Returns all jobs of the project, newest first."""
        jobs: list[dict[str, Any]] = []
        page = 1
        while True:
            reply = self.get(f"/projects/{project_code}/jobs?limit=100&page={page}")
            jobs += reply["items"]
            if not reply["items"] or len(jobs) >= reply["total"]:
                return jobs
            page += 1

    def wait_for(self, job_id: str, *states: str, timeout: float = 30) -> dict[str, Any]:
        """Waits until the job is in one of ``states``, and returns it."""
        deadline = time.monotonic() + timeout
        while True:
            job: dict[str, Any] = self.get(f"/jobs/{job_id}")
            if job["status"] in states:
                return job
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout:g} s, not {' or '.join(states)}")
            time.sleep(0.2)
