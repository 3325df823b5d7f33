"""The settings of an HTTP client."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HttpSettings:
    """The client's timeouts, retries, rate limit, paths, and TLS settings.

    Attributes:
        request_timeout: Seconds to wait for a response.
        connect_timeout: Seconds to wait for a connection.
        max_retries: The maximum number of retries of a call that may be repeated.
        overall_timeout: Seconds after which a call is not retried again.
        requests_per_second: The client-side rate limit for the account; ``None`` for no limit.
        allow_plain_http: Whether credentials may be sent over plain HTTP to another machine.
        paths_end_in_slash: Whether the vendor's paths end in a slash, as in ``/runs/7/``.
        ca_bundle: Path of a PEM file with the certificates of the trusted authorities; ``None`` for those that
            ``REQUESTS_CA_BUNDLE`` names, or else the public ones.
    """

    request_timeout: float = 30.0
    connect_timeout: float = 5.0
    max_retries: int = 5
    overall_timeout: float = 300.0
    requests_per_second: float | None = None
    allow_plain_http: bool = False
    paths_end_in_slash: bool = False
    ca_bundle: str | None = None
