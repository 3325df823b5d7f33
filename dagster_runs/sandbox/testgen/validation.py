"""TestGen's errors: the API's own, and those of FastAPI's validation with their exact wording."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse, RejectedError

_SCHEMA_NAME = r"^[^\\\"'`\x00-\x1f\x7f]+$"
_MAX_BODY_BYTES = 10 * 1024 * 1024


def api_error(status: int, code: str, detail: str) -> ApiResponse:
    """Returns an error of the API itself."""
    return ApiResponse(status, {"detail": {"errors": [{"code": code, "detail": detail}]}})


def not_found() -> RejectedError:
    """Returns the error for an object that does not exist, is not accessible, or is of another kind."""
    return RejectedError(api_error(404, "not_found", "Not found"))


def make_page(items: Sequence[Any], page: int, limit: int, render: Callable[[Any], dict[str, Any]]) -> ApiResponse:
    """Returns one page of a list."""
    start = (page - 1) * limit
    rendered = [render(item) for item in items[start : start + limit]]
    return ApiResponse(200, {"items": rendered, "page": page, "limit": limit, "total": len(items)})


class Validation:
    """Collects the errors of a request, because FastAPI reports all of them together."""

    def __init__(self, request: ApiRequest) -> None:
        self._request = request
        self.errors: list[dict[str, Any]] = []

    def add_error(self, kind: str, loc: Sequence[Any], message: str, value: Any, **context: Any) -> None:
        """Adds an error."""
        error = {"type": kind, "loc": list(loc), "msg": message, "input": value}
        self.errors.append({**error, "ctx": context} if context else error)

    def raise_errors(self) -> None:
        """Rejects the request if there are errors."""
        if self.errors:
            raise RejectedError(ApiResponse(422, {"detail": self.errors}))

    def uuid(self, location: str, name: str, value: str) -> str:
        """Returns a UUID in its canonical spelling."""
        error = _uuid_error(value)
        if error:
            self.add_error(
                "uuid_parsing", [location, name], f"Input should be a valid UUID, {error}", value, error=error
            )
        digits = value.lower().replace("-", "")
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def query_uuid(self, name: str) -> str | None:
        """Returns a query parameter that is a UUID; None if it is missing."""
        value = self._request.query.get(name)
        return None if value is None else self.uuid("query", name, value)

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Returns a query parameter that must be one of the allowed values; None if it is missing."""
        value = self._request.query.get(name)
        if value is not None and value not in allowed:
            expected = ", ".join(f"'{choice}'" for choice in allowed[:-1]) + f" or '{allowed[-1]}'"
            self.add_error("enum", ["query", name], f"Input should be {expected}", value, expected=expected)
        return value

    def page(self) -> tuple[int, int]:
        """Returns the page number and the page size."""
        return self.integer("page", 1, minimum=1), self.integer("limit", 20, minimum=1, maximum=100)

    def integer(self, name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
        """Returns a query parameter that is an integer."""
        value = self._request.query.get(name)
        if value is None:
            return default
        loc = ["query", name]
        if not re.fullmatch(r"[+-]?\d+", value.strip()):
            message = "Input should be a valid integer, unable to parse string as an integer"
            self.add_error("int_parsing", loc, message, value)
            return default
        number = int(value)
        if minimum is not None and number < minimum:
            self.add_error(
                "greater_than_equal", loc, f"Input should be greater than or equal to {minimum}", value, ge=minimum
            )
        if maximum is not None and number > maximum:
            self.add_error(
                "less_than_equal", loc, f"Input should be less than or equal to {maximum}", value, le=maximum
            )
        return number

    def json_body(self, allowed: Sequence[str]) -> dict[str, Any] | None:
        """Returns the body, an optional JSON object with only the allowed fields."""
        request = self._request
        if len(request.body) > _MAX_BODY_BYTES:
            raise RejectedError(ApiResponse(413, {"detail": "Request body too large"}))
        if not request.body:
            return None
        body: Any = request.body.decode("utf-8", "replace")
        if request.media_type == "application/json" or request.media_type.endswith("+json"):
            try:
                body = json.loads(body)
            except json.JSONDecodeError as error:
                self.add_error("json_invalid", ["body", error.pos], "JSON decode error", {}, error=error.msg)
                return None
        if body is None:
            return None
        if not isinstance(body, dict):
            message = "Input should be a valid dictionary or object to extract fields from"
            self.add_error("model_attributes_type", ["body"], message, body)
            return None
        for name in body:
            if name not in allowed:
                self.add_error("extra_forbidden", ["body", name], "Extra inputs are not permitted", body[name])
        return body


def parse_test_run_body(validation: Validation) -> dict[str, Any]:
    """Returns the body of a test run submission."""
    body = validation.json_body(("match_schema_name", "external_url", "metadata")) or {}
    _check_text(validation, body, "match_schema_name", max_length=50, pattern=_SCHEMA_NAME)
    _check_text(validation, body, "external_url", max_length=2048)
    metadata = body.get("metadata")
    loc = ["body", "metadata"]
    if metadata is None:
        return body
    if not isinstance(metadata, dict):
        validation.add_error("dict_type", loc, "Input should be a valid dictionary", metadata)
    elif len(metadata) > 50:
        validation.add_error("value_error", loc, "Value error, must have at most 50 keys", metadata, error={})
    elif len(json.dumps(metadata).encode()) > 10_240:
        validation.add_error("value_error", loc, "Value error, must be at most 10240 bytes", metadata, error={})
    return body


def _check_text(
    validation: Validation, body: dict[str, Any], name: str, *, max_length: int, pattern: str | None = None
) -> None:
    value = body.get(name)
    loc = ["body", name]
    if value is None:
        return
    if not isinstance(value, str):
        validation.add_error("string_type", loc, "Input should be a valid string", value)
    elif len(value) > max_length:
        message = f"String should have at most {max_length} characters"
        validation.add_error("string_too_long", loc, message, value, max_length=max_length)
    elif pattern is not None and not re.match(pattern, value):
        message = f"String should match pattern '{pattern}'"
        validation.add_error("string_pattern_mismatch", loc, message, value, pattern=pattern)


def _uuid_error(value: str) -> str | None:
    for index, character in enumerate(value):
        if character not in "0123456789abcdefABCDEF-":
            return f"invalid character: found `{character}` at {index}"
    groups = value.split("-")
    if len(groups) == 1:
        return None if len(value) == 32 else f"invalid length: found {len(value)}"
    if len(groups) != 5:
        return f"invalid group count: found {len(groups)}"
    for number, (group, length) in enumerate(zip(groups, (8, 4, 4, 4, 12), strict=True)):
        if len(group) != length:
            return f"invalid group length in group {number}: found {len(group)}"
    return None
