"""The OpenAPI documents of the servers, limited to the parts by which a client can distinguish the versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagster_runs.sandbox.exchange import Route
from dagster_runs.sandbox.testgen.shape import Shape

_SUBMISSION = "/api/v1/test-suites/{test_suite_id}/test-runs"
_REQUEST = "TestRunRequest"
_NULL = {"type": "null"}
_SCHEMA_NAME = {"type": "string", "maxLength": 50, "pattern": "^[^\\\\\\\"'`\\x00-\\x1f\\x7f]+$"}


def document(routes: Iterable[Route], shape: Shape) -> dict[str, Any]:
    """Returns the document at ``/api/openapi.json``."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = {}
    # Both versions export test definitions, with a field that has the same name as one of the newer submission.
    schemas: dict[str, Any] = {
        "TestDefinitionExport": {
            "type": "object",
            "properties": {
                "test_type": {"type": "string"},
                "match_schema_name": {"anyOf": [{"type": "string"}, _NULL]},
            },
        }
    }
    if shape.modern:
        schema = {"anyOf": [{"$ref": f"#/components/schemas/{_REQUEST}"}, _NULL], "title": "Body"}
        paths[_SUBMISSION]["post"]["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        schemas[_REQUEST] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "match_schema_name": {"anyOf": [_SCHEMA_NAME, _NULL]},
                "external_url": {"anyOf": [{"type": "string", "maxLength": 2048}, _NULL]},
                "metadata": {"anyOf": [{"type": "object", "additionalProperties": True}, _NULL]},
            },
        }
    info = {"title": "TestGen (simulation)", "version": "dev"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
