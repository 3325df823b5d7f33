"""Calls without an answer: what went wrong, whether anything was sent, and what to do."""

import os
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

from dagster_runs.transport import errors
from dagster_runs.transport.body import excerpt
from dagster_runs.transport.url import authority

if TYPE_CHECKING:
    from requests import RequestException

    from dagster_runs.transport.client import HttpSettings
    from dagster_runs.transport.responses import Call

_TRUST = (
    "If a private authority signed the server's certificate, set the resource's `ca_bundle` to the path of a PEM file "
    "with that authority's certificate (or the environment variable REQUESTS_CA_BUNDLE, for everything in the process)."
)
_OTHER_NAME = "The certificate is for another host: use the name that it was issued for in the base URL."
_EXPIRED = "The server's certificate has to be renewed, or this machine's clock corrected."
_PLAIN = "The server probably speaks plain http at this port: check the scheme and the port of the base URL."
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
    """The error for a call without an answer; knows whether the request can have reached the vendor.

    Args:
        error: What the HTTP library raised.
        call: The call.
        settings: Its timeouts.
        was_sent: Whether any of the request left; ``None`` where the connection did not record it.
        proxy: The proxy's address, if one was used.
    """
    import requests

    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        cannot = f"the address, or the proxy's, cannot be used ({cause(error)})"
        return call.error(errors.InvalidRequestError, cannot, hint="Check the base URL, and the proxy's address.")
    if was_sent is None:
        was_sent = _may_have_been_sent(error)
    if proxy:
        proxy = authority(proxy if "://" in proxy else f"http://{proxy}")
    through = f" through the proxy {proxy}" if proxy else ""
    hint = ""
    if isinstance(error, requests.ConnectTimeout):
        what = f"no connection after {settings.connect_timeout:g} s to {call.server}{through}"
    elif isinstance(error, requests.Timeout):
        what = (
            f"no answer after {settings.request_timeout:g} s from {call.server}{through}"
            if was_sent
            else f"{call.server}{through} took the connection, but was not ready for the request after "
            f"{settings.connect_timeout:g} s; nothing was sent"
        )
        hint = "" if was_sent else "Check that the server speaks what the base URL says, https or http, at this port."
    elif isinstance(error, requests.exceptions.SSLError):
        what = (
            f"the TLS connection to {call.server}{through} broke before the answer ({cause(error)})"
            if was_sent
            else f"no TLS connection to {call.server}{through} ({cause(error)}); nothing was sent"
        )
        hint = "" if was_sent else _tls_cure(error)
    elif was_sent:
        what = f"the connection to {call.server}{through} broke before the answer ({cause(error)})"
    else:
        what = f"no connection to {call.server}{through} ({cause(error)})"
    return call.error(errors.ConnectionFailedError, what, hint=hint, may_have_been_accepted=was_sent)


def _may_have_been_sent(error: BaseException) -> bool:
    """The answer from the error alone, for connections that record nothing."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return False
    never = (NewConnectionError, ssl.SSLCertVerificationError)
    return not any(isinstance(part, never) for part in _chain(error))


def _tls_cure(error: BaseException) -> str:
    chain = _chain(error)
    for part in chain:
        if isinstance(part, ssl.SSLCertVerificationError):
            if part.verify_code in _HOSTNAME_MISMATCHES:
                return _OTHER_NAME
            return _EXPIRED if part.verify_code in _OUT_OF_DATE else _TRUST
    if type(chain[-1]).__name__ == "CertificateError":  # urllib3's own comparison of names
        return _OTHER_NAME
    said = " ".join(str(part) for part in chain).upper().replace(" ", "_")
    return _PLAIN if any(words in said for words in _NO_TLS) else ""


@lru_cache(maxsize=8)
def _checked_ca_bundle(path: str, changed: float) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:
        return f"holds no certificate that can be read ({cause(error)})"
    return ""


def problem_of_ca_bundle(path: str) -> str:
    """What is wrong with a CA bundle, as the end of a sentence; nothing for a file or a folder that can be used."""
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
    """The error and what it wraps: requests and urllib3 keep the cause in ``args`` and ``reason``."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            todo += [*item.args, getattr(item, "reason", None), item.__cause__]
    return found


def cause(error: BaseException) -> str:
    """The innermost error in a few words, without object addresses."""
    innermost = _chain(error)[-1]
    text = str(innermost).rpartition(">: ")[2] or str(innermost)
    return excerpt(f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__)
