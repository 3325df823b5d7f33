"""The OpenAPI documents of the servers, limited to the parts by which a client can distinguish the versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagster_runs.sandbox.http_types import Route
from dagster_runs.sandbox.testgen.shape import Shape

_TEST_RUNS_PATH = "/api/v1/test-suites/{test_suite_id}/test-runs"
_GENERATION_PATH = "/api/v1/test-suites/{test_suite_id}/test-generation"
_NULL_TYPE = {"type": "null"}
_SCHEMA_NAME = {"type": "string", "maxLength": 50, "pattern": "^[^\\\\\\\"'`\\x00-\\x1f\\x7f]+$"}


def build_document(routes: Iterable[Route], shape: Shape) -> dict[str, Any]:
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
                "match_schema_name": {"anyOf": [{"type": "string"}, _NULL_TYPE]},
            },
        }
    }
    if shape.is_new:
        for path, name in ((_TEST_RUNS_PATH, "TestRunRequest"), (_GENERATION_PATH, "TestGenerationRequest")):
            schema = {"anyOf": [{"$ref": f"#/components/schemas/{name}"}, _NULL_TYPE], "title": "Body"}
            paths[path]["post"]["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        schemas["TestGenerationRequest"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {"generation_sets": {"anyOf": [{"items": {"type": "string"}, "type": "array"}, _NULL_TYPE]}},
        }
        schemas["TestRunRequest"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "match_schema_name": {"anyOf": [_SCHEMA_NAME, _NULL_TYPE]},
                "external_url": {"anyOf": [{"type": "string", "maxLength": 2048}, _NULL_TYPE]},
                "metadata": {"anyOf": [{"type": "object", "additionalProperties": True}, _NULL_TYPE]},
            },
        }
    info = {"title": "TestGen (simulation)", "version": "dev"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
