"""Each error class stands for a different reaction of the caller, and contains all known details."""

import pytest

from dagster_runs.transport import errors
from dagster_runs.transport.client import HttpClient
from dagster_runs.transport.errors import VendorError
from tests.transport.conftest import ClientMaker
from tests.transport.scripted import Origin, Reply

KINDS = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: VendorError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    405: VendorError,
    408: VendorError,
    409: errors.ConflictError,
    410: VendorError,
    422: errors.InvalidRequestError,
    425: VendorError,
    429: errors.RateLimitedError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerError,
    599: errors.ServerError,
}
PERMANENT = {400, 401, 403, 404, 422}


def refused(client: HttpClient) -> VendorError:
    with pytest.raises(VendorError) as raised:
        client.post_once(["things", "7"], json={})
    return raised.value


@pytest.mark.parametrize("status", KINDS)
@pytest.mark.covers("amperity.error.405", "testgen.error.400", "testgen.error.405")
def test_status_determines_the_error_class(status: int, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(status, {"message": "no"})]
    error = refused(client)
    assert type(error) is KINDS[status]
    assert error.status == status
    assert error.is_permanent is (status in PERMANENT)


def test_error_contains_all_known_details(origin: Origin, client: HttpClient) -> None:
    body = {"code": "E7", "message": "the thing\nis locked."}
    origin.replies = [Reply(409, body, {"X-Request-Id": "req-1", "Retry-After": "9"})]
    error = refused(client)
    assert (error.vendor, error.method, error.path, error.status) == ("Acme", "POST", "/things/7", 409)
    assert (error.code, error.detail, error.request_id, error.retry_after) == (
        "E7",
        "the thing is locked.",
        "req-1",
        "9",
    )
    assert str(error) == "Acme POST /things/7 returned 409 [E7]: the thing is locked (request id req-1)."


def test_hint_is_in_the_message(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(401, {"message": "bad token"})]
    error = refused(client)
    assert error.hint
    assert str(error) == f"Acme POST /things/7 returned 401: bad token. {error.hint}"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", "Not Found"),
        ("no such thing", "no such thing"),
        ("<html><body>nothing here</body></html>", "<html><body>nothing here</body></html>"),
        ("{}", "{}"),
        ('{"message": ""}', '{"message": ""}'),
        ('{"message": null, "code": null}', '{"message": null, "code": null}'),
        ("[1, 2]", "[1, 2]"),
        ("null", "null"),
        ('"gone"', '"gone"'),
        ("{", "text that is not JSON: '{'"),
    ],
)
def test_error_body_without_a_message_is_quoted(body: str, detail: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(404, body)]
    assert refused(client).detail in (detail, body)


@pytest.mark.parametrize("value", [7, 1.5, True, ["a"], {"a": "b"}, {}, []])
@pytest.mark.parametrize("field", ["code", "message"])
def test_error_fields_of_other_types_are_tolerated(
    field: str, value: object, origin: Origin, client: HttpClient
) -> None:
    # The error parser of each vendor passes values on unchanged.
    origin.replies = [Reply(400, {field: value})]
    assert "400" in str(refused(client))


@pytest.mark.covers("amperity.error.405", "testgen.error.405")
def test_unknown_status_code_raises(origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(499, "")]
    assert "499" in str(refused(client))


@pytest.mark.parametrize("field", ["code", "message"])
def test_error_fields_are_shortened_to_one_line(field: str, origin: Origin, client: HttpClient) -> None:
    origin.replies = [Reply(400, {field: "a\nb" + "x" * 100_000}, {"X-Request-Id": "r" * 10_000})]
    message = str(refused(client))
    assert "a b" in message
    assert "\n" not in message
    assert len(message) < 1200


def test_error_without_a_response_has_no_status(client_of: ClientMaker) -> None:
    error = refused(client_of("http://127.0.0.1:1"))
    assert isinstance(error, errors.ConnectionFailedError)
    assert error.status is None
    assert "0x" not in str(error)  # no memory addresses
    assert "POST /things/7" in str(error)


def test_every_error_class_is_a_direct_subclass_of_vendor_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VendorError)]
    assert len(kinds) == 10
    assert all(kind.__bases__ == (VendorError,) for kind in kinds if kind is not VendorError)
    assert all(kind.__doc__ for kind in kinds)
