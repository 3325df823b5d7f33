"""Validates base URLs, and builds paths in which every id stays one segment."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from dagster_runs.transport.errors import InvalidRequestError

PathPart = str | int
"""A segment of a path."""


def check_base_url(url: str, *, vendor: str, allow_plain_http: bool = False) -> str:
    """Returns ``url`` without a trailing slash.

    Raises:
        InvalidRequestError: The URL is not an absolute http(s) URL, contains credentials or a query, or would send a
            secret over plain HTTP to another machine.
    """
    hint = "Set the resource's `base_url` to the URL of the API, e.g. https://api.example.com."
    without_query = re.split(r"[?#]", url)[0]
    shown = "(with credentials)" if "@" in url else repr(without_query + ("..." if without_query != url else ""))
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        usable = False
    if not usable or any(character.isspace() for character in url.strip()):
        raise InvalidRequestError(f"base URL {shown} is not an absolute http(s) URL", vendor=vendor, hint=hint)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidRequestError(
            "the base URL must not contain credentials, a query or a fragment", vendor=vendor, hint=hint
        )
    if parts.scheme == "http" and not allow_plain_http and not is_loopback(parts.hostname or ""):
        raise InvalidRequestError(
            f"base URL {shown} uses plain http, so the credentials would be sent unencrypted",
            vendor=vendor,
            hint="Use https, or set `allow_plain_http=True` if you trust the network in between.",
        )
    return url.strip().rstrip("/")


def trimmed(url: str, suffix: str = "") -> str:
    """Returns ``url`` without surrounding whitespace, trailing slashes and ``suffix``, which users may have copied."""
    return url.strip().rstrip("/").removesuffix(suffix)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    host = host.casefold().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def origin(url: str) -> tuple[str, str, int]:
    """Returns the scheme, host and port of ``url``, which browsers call its origin."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def host_and_port(url: str) -> str:
    """Returns the host and port of ``url`` without credentials, for an error message."""
    try:
        _, host, port = origin(url)
    except ValueError:
        return "(an unreadable URL)"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def join_path(parts: Sequence[PathPart], *, vendor: str, method: str, ends_in_slash: bool = False) -> str:
    """Joins ``parts`` to a path. Each is percent-encoded, so that an id with ``/`` or ``?`` stays one segment.

    Args:
        parts: The segments: strings, and ids that are whole numbers.
        vendor: The vendor's name, for the error.
        method: The method of the call, for the error.
        ends_in_slash: Whether the path ends in a slash.

    Raises:
        InvalidRequestError: A segment is empty, ``.`` or ``..``, contains control characters, or is neither a string
            nor a whole number. HTTP clients and servers normalize such paths to those of other endpoints.
    """
    for part in parts:
        is_number = isinstance(part, int) and not isinstance(part, bool)
        is_usable = isinstance(part, str) and part not in ("", ".", "..") and not any(ord(one) < 32 for one in part)
        if not (is_number or is_usable):
            raise InvalidRequestError(
                f"the id {part!r} cannot be part of a URL; nothing was sent",
                vendor=vendor,
                method=method,
                path="/" + "/".join(quote(str(one), safe="") or "(empty)" for one in parts),
                hint="Correct the id in the run's fields.",
            )
    return "/" + "/".join(quote(str(part), safe="") for part in parts) + ("/" if ends_in_slash else "")
