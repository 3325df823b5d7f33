"""What a TestGen server's own description of its API (``/api/openapi.json``) says about the submission of test runs.

No field of the document tells the server's version. Servers before 5.134 take no body in a submission and ignore any,
though the same field names occur elsewhere in their documents, so that only the exact place tells what is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

_SUBMISSION = re.compile(r"/test-suites/\{[^{}/]+\}/test-runs/?")
_COMBINED = ("anyOf", "oneOf", "allOf")


def submission_fields(document: Any) -> frozenset[str]:
    """Names of the fields that the server reads from the body of a test run's submission; empty if it reads none.

    Args:
        document: The parsed ``openapi.json``. Anything that is not valid OpenAPI counts as absent.
    """
    return frozenset(
        name
        for path, item in _object(_object(document).get("paths")).items()
        if _SUBMISSION.fullmatch(path[path.find("/test-suites/") :])
        for name in _properties(_body_schema(document, item), document, frozenset())
    )


def _body_schema(document: Any, item: Any) -> Any:
    submission = _object(_object(_resolved(item, document)).get("post"))
    body = _object(_resolved(submission.get("requestBody"), document))
    return _object(_object(body.get("content")).get("application/json")).get("schema")


def _properties(schema: Any, document: Any, passed: frozenset[str]) -> Iterator[str]:
    """Names of the properties of a schema and of those it is combined from.

    Args:
        schema: The schema, or a reference to one.
        document: The whole document.
        passed: References that led here: one schema may contain itself.
    """
    one = _object(schema)
    yield from _object(one.get("properties"))
    reference = one.get("$ref")
    if isinstance(reference, str) and reference not in passed:
        yield from _properties(_resolved(one, document), document, passed | {reference})
    for keyword in _COMBINED:
        parts = one.get(keyword)
        for part in parts if isinstance(parts, list) else ():
            yield from _properties(part, document, passed)


def _resolved(value: Any, document: Any) -> Any:
    """What a reference within the document refers to; any other value as it is."""
    reference = _object(value).get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return value
    found = document
    for part in reference[2:].split("/"):
        found = _object(found).get(unquote(part).replace("~1", "/").replace("~0", "~"))
    return found


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
