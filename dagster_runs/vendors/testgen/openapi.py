"""Reads from a TestGen server's OpenAPI document (``/api/openapi.json``) which fields a submission accepts.

The document does not contain the server's version. Servers before 5.134 ignore the body of a submission, but the same
field names occur elsewhere in their documents. Only the schema of the submission itself shows what the server reads.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

_COMBINED = ("anyOf", "oneOf", "allOf")


def submission_fields(document: Any, submission: str) -> frozenset[str]:
    """Returns the fields that the server reads from the body of a submission; empty if it reads none.

    Args:
        document: The parsed ``openapi.json``. Parts that are not valid OpenAPI are ignored.
        submission: The last part of the path: ``test-runs`` or ``test-generation``.
    """
    pattern = re.compile(rf"/test-suites/\{{[^{{}}/]+\}}/{submission}/?")
    return frozenset(
        name
        for path, item in _object(_object(document).get("paths")).items()
        if pattern.fullmatch(path[path.find("/test-suites/") :])
        for name in _properties(_body_schema(document, item), document, frozenset())
    )


def _body_schema(document: Any, item: Any) -> Any:
    submission = _object(_object(_resolved(item, document)).get("post"))
    body = _object(_resolved(submission.get("requestBody"), document))
    return _object(_object(body.get("content")).get("application/json")).get("schema")


def _properties(schema: Any, document: Any, visited: frozenset[str]) -> Iterator[str]:
    """Yields the names of the properties of a schema and of the schemas that it combines.

    Args:
        schema: The schema, or a reference to one.
        document: The whole document.
        visited: The references that led here, since a schema may contain itself.
    """
    one = _object(schema)
    yield from _object(one.get("properties"))
    reference = one.get("$ref")
    if isinstance(reference, str) and reference not in visited:
        yield from _properties(_resolved(one, document), document, visited | {reference})
    for keyword in _COMBINED:
        parts = one.get(keyword)
        for part in parts if isinstance(parts, list) else ():
            yield from _properties(part, document, visited)


def _resolved(value: Any, document: Any) -> Any:
    """Resolves a reference within the document; returns any other value unchanged."""
    reference = _object(value).get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return value
    found = document
    for part in reference[2:].split("/"):
        found = _object(found).get(unquote(part).replace("~1", "/").replace("~0", "~"))
    return found


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
