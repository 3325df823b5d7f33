"""Requests, responses and routing, independent of the web framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class ApiRequest:
    """A request.

    Attributes:
        path: The path as sent, still percent-encoded, without the query.
        segments: The segments of the path, each decoded after the split, so that an encoded slash stays in its segment.
        origin: The scheme and the host that the client used, for absolute links.
    """

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    origin: str
    segments: tuple[str, ...]

    @cached_property
    def query(self) -> dict[str, str]:
        """The query. If a parameter is repeated, the last one counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """Returns the body as a form. If a field is repeated, the last one counts."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def parse_json(self) -> Any:
        """Returns the decoded body.

        Raises:
            ValueError: The body is not JSON, or the content type says something else. The message says which.
        """
        if self.media_type != "application/json":
            raise ValueError("Content-Type must be application/json")
        try:
            return json.loads(self.body)
        except ValueError:
            raise ValueError("The body is not valid JSON") from None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if there is none."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()


@dataclass
class ApiResponse:
    """A response.

    Attributes:
        body: JSON data if the content type is JSON, otherwise text.
        started_run: The id of the run that the request started.
    """

    status: int
    body: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    started_run: str | None = None

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON data."""
        return self.content_type == "application/json"

    def payload(self) -> bytes:
        """Returns the body as bytes."""
        if self.is_json:
            return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode()
        return str(self.body or "").encode()


class RejectedError(Exception):
    """Ends the processing of a request with a response, from anywhere."""

    def __init__(self, response: ApiResponse) -> None:
        super().__init__(response.status)
        self.response = response


Handler = Callable[..., ApiResponse]


class Route(NamedTuple):
    """A handler and its path. The handler gets the request, and the path's parameters as keyword arguments."""

    method: str
    path: str
    handler: Handler
    public: bool = False


class Match(NamedTuple):
    """A matching route, and the parameters of its path."""

    route: Route
    parameters: dict[str, str]


class Router:
    """Finds the route for the decoded segments of a path.

    Args:
        routes: The routes. Their paths are like `/jobs/{job_id}/cancel`; a parameter is a whole, non-empty segment.
    """

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._patterns = [(route, split_path(route.path)) for route in routes]

    def find(self, method: str, segments: tuple[str, ...]) -> Match | str | None:
        """Returns the match; the allowed method if only the method is wrong; or None."""
        allowed: str | None = None
        for route, pattern in self._patterns:
            parameters = _match_segments(pattern, segments)
            if parameters is None:
                continue
            if route.method == method:
                return Match(route, parameters)
            allowed = allowed or route.method
        return allowed


def split_path(path: str) -> tuple[str, ...]:
    """Splits a raw path into segments, and decodes each."""
    return tuple(unquote(part) for part in path.removeprefix("/").split("/"))


def _match_segments(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    parameters = {}
    for expected, actual in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not actual:
                return None
            parameters[expected.strip("{}")] = actual
        elif expected != actual:
            return None
    return parameters
