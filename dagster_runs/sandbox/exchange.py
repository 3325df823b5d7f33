"""A request and its answer, free of the web framework, and the routing between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        path: As sent, still percent-encoded, without the query.
        segments: The path's parts, each decoded by itself after the split: an encoded slash stays inside its part.
        origin: Scheme and host that the client used, for absolute links.
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
        """The query, the last of repeated parameters."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The body as a form, the last of repeated fields."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty if there is none."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()


@dataclass
class ApiResponse:
    """An answer.

    Attributes:
        body: JSON data if the content type is JSON, else text.
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
        """The body's bytes."""
        if self.is_json:
            return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode()
        return str(self.body or "").encode()


class RefusedError(Exception):
    """Ends the handling of a request with an answer, from anywhere."""

    def __init__(self, answer: ApiResponse) -> None:
        super().__init__(answer.status)
        self.answer = answer


Handler = Callable[..., ApiResponse]


class Route(NamedTuple):
    """A handler and where it is; it gets the call and the path's parameters by name."""

    method: str
    path: str
    handler: Handler
    public: bool = False


class Match(NamedTuple):
    """A route that fits, and its path's parameters."""

    route: Route
    parameters: dict[str, str]


class Router:
    """Finds the route of a path's decoded parts.

    Args:
        routes: Paths are like `/jobs/{job_id}/cancel`; a parameter is one whole part and never empty.
    """

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._patterns = [(route, split_path(route.path)) for route in routes]

    def find(self, method: str, segments: tuple[str, ...]) -> Match | str | None:
        """The match; or, if only the method is wrong, the method that would be right; or None."""
        allowed: str | None = None
        for route, pattern in self._patterns:
            parameters = _fit(pattern, segments)
            if parameters is None:
                continue
            if route.method == method:
                return Match(route, parameters)
            allowed = allowed or route.method
        return allowed


def split_path(path: str) -> tuple[str, ...]:
    """A raw path's parts, each decoded by itself."""
    return tuple(unquote(part) for part in path.removeprefix("/").split("/"))


def _fit(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
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
