"""The command ``check``: whether each vendor can be reached and accepts the credentials."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dagster_runs.cli.code_location import CodeLocation
from dagster_runs.cli.output import NegativeResult, Unusable, one_line, print_json, print_table, progress
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError

MAX_CLOCK_DIFFERENCE = 60.0
"""Seconds by which a vendor's clock may differ from ours. Its responses have the time in whole seconds."""
_NOT_MEASURED = 2.0
"""Seconds. A smaller difference between the clocks cannot be measured with a time in whole seconds."""
_CALLS_WITHIN = 30.0
"""Seconds for all calls to one vendor."""


@dataclass(frozen=True)
class ConnectionResult:
    """The result of the check of one resource.

    Attributes:
        resource: The resource's key.
        vendor: The vendor; ``None`` if the resource cannot be initialized.
        url: The URL of the API, if it is known.
        ok: Whether everything is fine.
        clock_ahead_seconds: By how much the vendor's clock is ahead of this machine's; ``None`` if it is unknown.
        message: What was found, and if something is wrong, what to do, in one line.
    """

    resource: str
    vendor: str | None
    url: str | None
    ok: bool
    clock_ahead_seconds: float | None
    message: str


def check_connections(locations: Sequence[CodeLocation], keys: Sequence[str], *, as_json: bool) -> None:
    """Checks the vendors' resources, and prints one line for each.

    Args:
        locations: The code locations.
        keys: The keys of the resources to check; empty for all.
        as_json: Whether to print JSON.

    Raises:
        NegativeResult: Something is wrong with at least one.
        Unusable: There is no resource with one of the keys, or none at all.
    """
    known = [(location, key) for location in locations for key in location.resource_keys]
    missing = sorted(set(keys) - {key for _, key in known})
    if missing or not known:
        names = ", ".join(sorted({key for _, key in known})) or "none"
        what = f"There is no vendor's resource {', '.join(missing)}" if missing else "There are no vendors' resources"
        raise Unusable(f"{what}; the resources are: {names}")
    results: list[ConnectionResult] = []
    for location, key in known:
        if not keys or key in keys:
            progress(f"Checking {key} …")
            results.append(_result(location, key))
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        print_table([(one.resource, "ok" if one.ok else "problem", one.message) for one in results])
    problems = [result.resource for result in results if not result.ok]
    if problems:
        raise NegativeResult(f"{len(problems)} of {len(results)} resources have a problem: {', '.join(problems)}")


def _result(location: CodeLocation, key: str) -> ConnectionResult:
    found = location.resource(key)
    if isinstance(found, str):
        return ConnectionResult(key, None, None, False, None, one_line(f"the resource cannot be used: {found}"))
    return check_connection(key, found, location.runs_with(key))


def check_connection(key: str, resource: RemoteRunResource, runs: Sequence[RemoteRun[Any]]) -> ConnectionResult:
    """Checks one resource with calls that start nothing.

    Args:
        key: The resource's key.
        resource: The resource.
        runs: Runs of assets that use it.
    """
    client = None
    try:
        client = resource.http()
        with client.with_call_budget(current_clock().monotonic() + _CALLS_WITHIN):
            found = resource.get_access(runs)
    except VendorError as error:
        ahead = client.clock_ahead if client is not None else None
        url = client.base_url if client is not None else None
        message = one_line(str(error))
        if ahead is not None and abs(ahead) > MAX_CLOCK_DIFFERENCE:  # which may be why a token is refused
            message = f"{message} Also, {_clock_problem(ahead)}"
        return ConnectionResult(key, resource.vendor, url, False, _rounded(ahead), message)
    ahead, place = client.clock_ahead, f"{resource.vendor} at {client.base_url}"
    if ahead is not None and abs(ahead) > MAX_CLOCK_DIFFERENCE:
        message = f"{place}: {_clock_problem(ahead)}"
        return ConnectionResult(key, resource.vendor, client.base_url, False, _rounded(ahead), message)
    token = "token accepted" if found is not None else "reached, credentials not checked (no asset uses it)"
    clock = "clock unknown" if ahead is None else _clock_difference(abs(ahead))
    parts = [token, *([one_line(found)] if found else []), clock]
    return ConnectionResult(
        key, resource.vendor, client.base_url, True, _rounded(ahead), f"{place}: {', '.join(parts)}"
    )


def _clock_difference(seconds: float) -> str:
    return "clocks agree" if seconds < _NOT_MEASURED else f"clocks differ by {seconds:.0f} s"


def _clock_problem(ahead: float) -> str:
    return (
        f"the server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's. Synchronize "
        "this machine's clock (NTP); if it is right, report it to the server's administrator."
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
