"""TestGen's errors: the API's own, and those of FastAPI's validation with their exact wording."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from dagster_runs.sandbox.exchange import ApiResponse, Call, RefusedError

_SCHEMA_NAME = r"^[^\\\"'`\x00-\x1f\x7f]+$"
_MAX_BODY = 10 * 1024 * 1024


def api_error(status: int, code: str, detail: str) -> ApiResponse:
    """Returns an error of the API itself."""
    return ApiResponse(status, {"detail": {"errors": [{"code": code, "detail": detail}]}})


def not_found() -> RefusedError:
    """Returns the error for an object that does not exist, is not accessible, or is of another kind."""
    return RefusedError(api_error(404, "not_found", "Not found"))


def paged(items: Sequence[Any], page: int, limit: int, show: Callable[[Any], dict[str, Any]]) -> ApiResponse:
    """Returns one page of a list."""
    start = (page - 1) * limit
    shown = [show(item) for item in items[start : start + limit]]
    return ApiResponse(200, {"items": shown, "page": page, "limit": limit, "total": len(items)})


class Validation:
    """Collects the errors of a request, because FastAPI reports all of them together."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.errors: list[dict[str, Any]] = []

    def fail(self, kind: str, loc: Sequence[Any], message: str, given: Any, **context: Any) -> None:
        """Adds an error."""
        error = {"type": kind, "loc": list(loc), "msg": message, "input": given}
        self.errors.append({**error, "ctx": context} if context else error)

    def finish(self) -> None:
        """Refuses the request if there are errors."""
        if self.errors:
            raise RefusedError(ApiResponse(422, {"detail": self.errors}))

    def uuid(self, where: str, name: str, given: str) -> str:
        """Returns a UUID in its canonical spelling."""
        problem = _uuid_problem(given)
        if problem:
            self.fail("uuid_parsing", [where, name], f"Input should be a valid UUID, {problem}", given, error=problem)
        digits = given.lower().replace("-", "")
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def query_uuid(self, name: str) -> str | None:
        """Returns a query parameter that is a UUID; None if it is missing."""
        given = self._call.query.get(name)
        return None if given is None else self.uuid("query", name, given)

    def choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Returns a query parameter that must be one of the allowed values; None if it is missing."""
        given = self._call.query.get(name)
        if given is not None and given not in allowed:
            expected = ", ".join(f"'{word}'" for word in allowed[:-1]) + f" or '{allowed[-1]}'"
            self.fail("enum", ["query", name], f"Input should be {expected}", given, expected=expected)
        return given

    def page(self) -> tuple[int, int]:
        """Returns the page number and the page size."""
        return self.integer("page", 1, least=1), self.integer("limit", 20, least=1, most=100)

    def integer(self, name: str, default: int, *, least: int | None = None, most: int | None = None) -> int:
        """Returns a query parameter that is an integer."""
        given = self._call.query.get(name)
        if given is None:
            return default
        loc = ["query", name]
        if not re.fullmatch(r"[+-]?\d+", given.strip()):
            message = "Input should be a valid integer, unable to parse string as an integer"
            self.fail("int_parsing", loc, message, given)
            return default
        number = int(given)
        if least is not None and number < least:
            self.fail("greater_than_equal", loc, f"Input should be greater than or equal to {least}", given, ge=least)
        if most is not None and number > most:
            self.fail("less_than_equal", loc, f"Input should be less than or equal to {most}", given, le=most)
        return number

    def json_body(self, allowed: Sequence[str]) -> dict[str, Any] | None:
        """Returns the body, an optional JSON object with only the allowed fields."""
        call = self._call
        if len(call.body) > _MAX_BODY:
            raise RefusedError(ApiResponse(413, {"detail": "Request body too large"}))
        if not call.body:
            return None
        body: Any = call.body.decode("utf-8", "replace")
        if call.media_type == "application/json" or call.media_type.endswith("+json"):
            try:
                body = json.loads(body)
            except json.JSONDecodeError as error:
                self.fail("json_invalid", ["body", error.pos], "JSON decode error", {}, error=error.msg)
                return None
        if body is None:
            return None
        if not isinstance(body, dict):
            message = "Input should be a valid dictionary or object to extract fields from"
            self.fail("model_attributes_type", ["body"], message, body)
            return None
        for name in body:
            if name not in allowed:
                self.fail("extra_forbidden", ["body", name], "Extra inputs are not permitted", body[name])
        return body


def test_run_body(check: Validation) -> dict[str, Any]:
    """Returns the body of a test run submission."""
    body = check.json_body(("match_schema_name", "external_url", "metadata")) or {}
    _text(check, body, "match_schema_name", longest=50, pattern=_SCHEMA_NAME)
    _text(check, body, "external_url", longest=2048)
    metadata = body.get("metadata")
    loc = ["body", "metadata"]
    if metadata is None:
        return body
    if not isinstance(metadata, dict):
        check.fail("dict_type", loc, "Input should be a valid dictionary", metadata)
    elif len(metadata) > 50:
        check.fail("value_error", loc, "Value error, must have at most 50 keys", metadata, error={})
    elif len(json.dumps(metadata).encode()) > 10_240:
        check.fail("value_error", loc, "Value error, must be at most 10240 bytes", metadata, error={})
    return body


def _text(check: Validation, body: dict[str, Any], name: str, *, longest: int, pattern: str | None = None) -> None:
    given = body.get(name)
    loc = ["body", name]
    if given is None:
        return
    if not isinstance(given, str):
        check.fail("string_type", loc, "Input should be a valid string", given)
    elif len(given) > longest:
        message = f"String should have at most {longest} characters"
        check.fail("string_too_long", loc, message, given, max_length=longest)
    elif pattern is not None and not re.match(pattern, given):
        message = f"String should match pattern '{pattern}'"
        check.fail("string_pattern_mismatch", loc, message, given, pattern=pattern)


def _uuid_problem(given: str) -> str | None:
    for index, character in enumerate(given):
        if character not in "0123456789abcdefABCDEF-":
            return f"invalid character: found `{character}` at {index}"
    groups = given.split("-")
    if len(groups) == 1:
        return None if len(given) == 32 else f"invalid length: found {len(given)}"
    if len(groups) != 5:
        return f"invalid group count: found {len(groups)}"
    for number, (group, length) in enumerate(zip(groups, (8, 4, 4, 4, 12), strict=True)):
        if len(group) != length:
            return f"invalid group length in group {number}: found {len(group)}"
    return None
