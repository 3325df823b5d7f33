"""What is to be proved: a run, its resource, and the simulated vendor that both are connected to."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sandbox import RecordedRequest, SandboxClient

POLL_INTERVAL = 30.0
"""The longest pause between two polls, in simulated seconds, so that each scenario sees several polls."""
_TIMEOUT = 30.0
_REPEATED_HEADERS = ("accept", "api-version", "content-type")


@dataclass(frozen=True)
class Subject:
    """What is to be proved.

    Attributes:
        run: A run whose target exists in the sandbox.
        resource: The vendor's resource, connected to the sandbox.
        client: The controls of the sandbox.
        vendor: The name of the simulated vendor.
        target: The id of the target there.
    """

    run: RemoteRun[Any]
    resource: RemoteRunResource
    client: SandboxClient
    vendor: str
    target: str

    @classmethod
    def find(
        cls,
        run: RemoteRun[Any],
        resource: RemoteRunResource,
        url: str | SandboxClient,
        vendor: str | None,
        target: str | None,
    ) -> "Subject":
        """Returns the subject, after a search for the simulated vendor.

        Raises:
            ValueError: The simulated vendor cannot be determined, or has no such target.
        """
        client = SandboxClient(url) if isinstance(url, str) else url
        target = run.target if target is None else target
        client.reset()
        names = list(client.health()["vendors"])
        having = [name for name in names if vendor in (None, name) and _has_target(client, name, target)]
        if len(having) != 1:
            raise ValueError(
                f"{len(having)} simulated vendors of {', '.join(names)} have the target {target!r}: "
                f"{', '.join(having) or 'none'}. Pass `vendor` and `target` as the sandbox names them. The kit resets "
                "the sandbox, so the target has to be added in `add_default_targets`."
            )
        subject = cls(run, often_polling(resource), client, having[0], target)
        subject.reset()
        return subject

    def reset(self) -> None:
        """Empties the sandbox, and lifts the vendor's rate limit, which counts the requests in real time."""
        self.client.reset()
        self.client.configure(self.vendor, requests_per_second=None)

    def requests(self, after: int = 0) -> list[RecordedRequest]:
        """Returns the requests to the simulated vendor, oldest first."""
        return self.client.requests(self.vendor, after=after)

    def last_request(self) -> int:
        """Returns the number of the latest request; 0 if there is none."""
        return max((record.seq for record in self.client.requests()), default=0)

    def send_again(self, record: RecordedRequest, *, headers: Mapping[str, str] | None = None) -> str:
        """Sends a recorded request again, without the vendor's own code, and returns the text of the response."""
        body = None if record.body is None else json.dumps(record.body).encode()
        kept = {name: record.headers[name] for name in _REPEATED_HEADERS if name in record.headers}
        query = f"?{urlencode(record.query)}" if record.query else ""
        request = urllib.request.Request(  # noqa: S310 - the URL of the sandbox
            f"{self.client.url}{record.path}{query}",
            data=body,
            method=record.method,
            headers={**kept, **self.resource.auth().headers(), **(headers or {})},
        )
        # Without a proxy from the environment, because the sandbox is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT) as response:
                return str(response.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            return error.read().decode("utf-8", "replace")


def _has_target(client: SandboxClient, vendor: str, target: str) -> bool:
    try:
        client.set_behavior(target, [], vendor=vendor)
    except ValueError:
        return False
    return True


def with_settings(resource: RemoteRunResource, **settings: Any) -> RemoteRunResource:
    """Returns a copy of a resource with other settings."""
    # Also those that are None: the default may be another value, such as a rate limit.
    return type(resource)(**{**dict(resource), **settings})


def often_polling(resource: RemoteRunResource) -> RemoteRunResource:
    """Returns a resource that polls at least every 30 seconds, and whose rate limit does not wait in real time."""
    return with_settings(resource, poll_interval=min(POLL_INTERVAL, resource.poll_interval), requests_per_second=None)


def json_paths(value: Any, wanted: str, prefix: str = "") -> list[str]:
    """Returns the paths in decoded JSON at which a text or a number is, such as ``runs.0.id``."""
    if isinstance(value, dict):
        children = [(str(name), child) for name, child in value.items()]
    elif isinstance(value, list):
        children = [(str(index), child) for index, child in enumerate(value)]
    else:
        # An id that is a number in the JSON is a text everywhere else.
        is_equal = not isinstance(value, bool) and value is not None and str(value) == wanted
        return [prefix] if is_equal else []
    return [path for name, child in children for path in json_paths(child, wanted, f"{prefix}.{name}".lstrip("."))]


def decoded(text: str) -> Any:
    """Returns the decoded JSON of a response; None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
