"""Errors for calls without a response: the cause, whether the request was sent, and a hint."""

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

from dagster_runs.transport import errors
from dagster_runs.transport.body import excerpt
from dagster_runs.transport.url import host_and_port

if TYPE_CHECKING:
    from requests import RequestException

    from dagster_runs.transport.http_settings import HttpSettings
    from dagster_runs.transport.responses import Call

_TRUST = (
    "If a private authority signed the server's certificate, set the resource's `ca_bundle` to the path of a PEM file "
    "with that authority's certificate (or the environment variable REQUESTS_CA_BUNDLE, for everything in the process)."
)
_OTHER_NAME = "The certificate is for another host. In the base URL, use the host name that it was issued for."
_EXPIRED = "Renew the server's certificate, or correct this machine's clock."
_PLAIN = "The server probably uses plain HTTP on this port. Check the scheme and the port of the base URL."
_HOSTNAME_MISMATCHES = frozenset({62, 63, 64})  # X509_V_ERR_HOSTNAME_MISMATCH and those of mail and IP addresses
_OUT_OF_DATE = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")


def connection_failed(
    error: "RequestException",
    call: "Call",
    settings: "HttpSettings",
    *,
    was_sent: bool | None = None,
    proxy: str | None = None,
) -> errors.VendorError:
    """Returns the error for a call without a response, including whether the request may have reached the vendor.

    Args:
        error: The error that the HTTP library raised.
        call: The call.
        settings: The timeouts of the call.
        was_sent: Whether any part of the request was sent; ``None`` if the connection did not record it.
        proxy: The URL of the proxy, if one was used.
    """
    import requests

    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        problem = f"the base URL or the proxy's URL is invalid ({cause(error)})"
        return call.error(errors.InvalidRequestError, problem, hint="Check the base URL and the proxy's URL.")
    if was_sent is None:
        was_sent = _may_have_been_sent(error)
    if proxy:
        proxy = host_and_port(proxy if "://" in proxy else f"http://{proxy}")
    through = f" through the proxy {proxy}" if proxy else ""
    hint = ""
    if isinstance(error, requests.ConnectTimeout):
        problem = f"could not connect to {call.server}{through} within {settings.connect_timeout:g} s"
    elif isinstance(error, requests.Timeout):
        problem = (
            f"no response from {call.server}{through} within {settings.request_timeout:.3g} s"
            if was_sent
            else f"{call.server}{through} accepted the connection, but was not ready for the request within "
            f"{settings.connect_timeout:g} s; nothing was sent"
        )
        hint = "" if was_sent else "Check that the server uses the scheme of the base URL (https or http) on this port."
    elif isinstance(error, requests.exceptions.SSLError):
        problem = (
            f"the TLS connection to {call.server}{through} broke before the response ({cause(error)})"
            if was_sent
            else f"could not establish a TLS connection to {call.server}{through} ({cause(error)}); nothing was sent"
        )
        hint = "" if was_sent else _tls_hint(error)
    elif was_sent:
        problem = f"the connection to {call.server}{through} broke before the response ({cause(error)})"
    else:
        problem = f"could not connect to {call.server}{through} ({cause(error)})"
    return call.error(errors.ConnectionFailedError, problem, hint=hint, may_have_been_accepted=was_sent)


def _may_have_been_sent(error: BaseException) -> bool:
    """Whether the request may have been sent, judging by the error alone, for connections that record nothing."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return False
    never = (NewConnectionError, ssl.SSLCertVerificationError)
    return not any(isinstance(part, never) for part in _chain(error))


def _tls_hint(error: BaseException) -> str:
    chain = _chain(error)
    for part in chain:
        if isinstance(part, ssl.SSLCertVerificationError):
            if part.verify_code in _HOSTNAME_MISMATCHES:
                return _OTHER_NAME
            return _EXPIRED if part.verify_code in _OUT_OF_DATE else _TRUST
    if type(chain[-1]).__name__ == "CertificateError":  # from urllib3's own comparison of host names
        return _OTHER_NAME
    messages = " ".join(str(part) for part in chain).upper().replace(" ", "_")
    return _PLAIN if any(code in messages for code in _NO_TLS) else ""


@lru_cache(maxsize=8)
def _checked_ca_bundle(path: str, changed: float) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:
        return f"contains no readable certificate ({cause(error)})"
    return ""


def problem_of_ca_bundle(path: str) -> str:
    """Describes the problem of a CA bundle, as the end of a sentence; empty for a usable file or folder."""
    try:
        if os.path.isdir(path):
            os.listdir(path)
            return ""
        with open(path, "rb"):
            changed = os.stat(path).st_mtime
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return _checked_ca_bundle(path, changed)


def _chain(error: BaseException) -> list[BaseException]:
    """Returns the error and the errors that it wraps. requests and urllib3 keep them in ``args`` and ``reason``."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            todo += [*item.args, getattr(item, "reason", None), item.__cause__]
    return found


def cause(error: BaseException) -> str:
    """Describes the innermost error in a few words, without object addresses."""
    innermost = _chain(error)[-1]
    text = str(innermost).rpartition(">: ")[2] or str(innermost)
    return excerpt(f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__)
