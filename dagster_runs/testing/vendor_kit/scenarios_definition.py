"""Scenarios: the definition of the run, and that no secret is shown."""

import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.testing.vendor_kit.calls import new_attempt
from dagster_runs.testing.vendor_kit.case import Case, joined
from dagster_runs.testing.vendor_kit.materialized import stored_text
from dagster_runs.testing.vendor_kit.results import NotOfferedError, ScenarioFailedError, expect
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError


def launchpad(case: Case) -> str:
    """The fields of the run are launchpad config, and a launch that sets them starts one run."""
    fields = {name: value for name, value in _as_json(case.run).items() if value is not None}
    seen = case.expect_success(case.materialize(case.asset(), config=fields))
    return f"{seen}, with {', '.join(fields) or 'no fields'} set in the launchpad"


def payload(case: Case) -> str:
    """A run that is recreated from `to_payload`, so without its sensitive fields, can be polled."""
    stored = json.loads(json.dumps(case.run.to_payload()))
    sensitive = case.run.sensitive_fields & stored.keys()
    expect(not sensitive, f"to_payload() contains the sensitive fields {', '.join(sorted(sensitive))}")
    recreated = type(case.run).from_payload(stored)
    expect(recreated.target == case.run.target, f"the target is {recreated.target!r}; it was {case.run.target!r}")
    case.run.send_start(case.resource, new_attempt())
    [run] = case.started()
    for moment in ("active", "ended"):
        states = [one.get_status(case.resource, run.id).state.value for one in (case.run, recreated)]
        expect(states[0] == states[1], f"{moment}: the recreated run has the state {states[1]}, the run {states[0]}")
        current_clock().sleep(3600.0)
    status = recreated.get_status(case.resource, run.id)
    recreated.get_result(case.resource, run.id, status, None)
    recreated.run_url(case.resource, run.id)
    left_out = f" without {', '.join(sorted(case.run.sensitive_fields))}" if case.run.sensitive_fields else ""
    return f"polled{left_out}, and its result fetched"


def _as_json(run: RemoteRun[Any]) -> dict[str, Any]:
    return run.model_dump(mode="json", include=set(run.model_fields_set))


def secrets(case: Case) -> str:
    """No secret of the resource, and no token that it got, is in a log, event, exception or repr."""
    case.secrets.read_headers()
    expect(case.secrets.names, "the resource has no secret_fields and sends no credentials that the kit recognizes")
    shown = [_while_starting(case), _while_polling(case), _while_fetching_the_result(case), _called_directly(case)]
    for where, text in (*shown, ("a repr", f"{case.resource!r} {case.resource} {case.run!r} {case.run}")):
        case.secrets.check(where, text)
    return f"not shown: {', '.join(case.secrets.names)}"


def _while_starting(case: Case) -> tuple[str, str]:
    case.begin()
    case.add_fault("echo_secret")
    case.run_asset(retries=1)
    return "an event of a failed start", stored_text(case.instance)


def _while_polling(case: Case) -> tuple[str, str]:
    """Polls, and cancels the run, while the vendor repeats the credentials in each response but the one to a start."""
    case.begin(running_seconds=36_000.0)
    start = case.calls.start
    not_start = f"^(?!{start.path.removeprefix('^')})"
    case.add_fault("echo_secret", path=not_start)
    for method in {"GET", "DELETE", "PUT", "PATCH"} - {start.method}:
        case.add_fault("echo_secret", method=method)
    case.while_waiting(case.terminate, pauses=4)
    case.run_asset(timeout=120.0)
    return "an event of a failed poll or cancellation", stored_text(case.instance)


def _while_fetching_the_result(case: Case) -> tuple[str, str]:
    case.begin()
    for call in case.calls.result:
        case.add_fault("echo_secret", call)
    materialized = case.run_asset()
    return "an event about the result", f"{stored_text(case.instance)} {materialized.error}"


def _called_directly(case: Case) -> tuple[str, str]:
    case.begin()
    case.add_fault("echo_secret")
    run, resource = case.run, case.resource
    calls: list[Callable[[], Any]] = [
        lambda: run.start(resource, new_attempt()),
        lambda: run.fetch_status(resource, "kit"),
        lambda: run.cancel(resource, "kit"),
        lambda: run.find_started(resource, new_attempt()),
        lambda: list(resource.list_runs(current_clock().wall(), None, (run.observed_target,)) or ()),
        lambda: list(resource.list_finished(current_clock().wall(), None, (run.observed_target,)) or ()),
    ]
    texts = []
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the vendor's own classes may be anything
            texts += [repr(error), str(error), *traceback.format_exception(error)]
    return "an exception", "\n".join(texts)


def run_page(case: Case) -> str:
    """The URL of a run's page is a link that contains no secret."""
    with suppress(Exception):
        case.secrets.read_headers()
    url = case.run.run_url(case.resource, "kit/a b")
    if url is None:
        raise NotOfferedError("run_url() returns None")
    expect(url.startswith(("https://", "http://")), f"run_url() returned {url!r}")
    case.secrets.check("the URL", url)
    return joined([url])


def check_access(case: Case) -> str:
    """`dagster-runs check` starts nothing, accepts the credentials, and reports a vendor that refuses them."""
    found = case.resource.get_access([case.run])
    expect(found is not None, "check_access() returned None although a run is known")
    expect(not case.started(), "check_access() started a run")
    case.begin()
    case.add_fault("expired_token")
    try:
        accepted = case.resource.get_access([case.run])
    except VendorError as error:
        return f"{found or 'accepted'}; refused: {error.status}"
    raise ScenarioFailedError(f"the vendor refuses the credentials, but check_access() returned {accepted!r}")


SCENARIOS = (launchpad, payload, secrets, run_page, check_access)
