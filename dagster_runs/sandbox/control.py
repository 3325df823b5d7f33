"""The control endpoints under `/_sandbox/`, for tests and for users with curl."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.http_types import ApiRequest, ApiResponse
from dagster_runs.sandbox.runs import SandboxRun
from dagster_runs.sandbox.state import SandboxState


def handle_request(state: SandboxState, request: ApiRequest) -> ApiResponse:
    """Processes a control request and returns the response."""
    action = _ACTIONS.get((request.method, "/".join(request.segments)))
    if action is None:
        endpoints = [f"{method} /_sandbox/{path}" for method, path in _ACTIONS]
        return ApiResponse(404, {"error": f"There is no {request.method} {request.path}", "endpoints": endpoints})
    try:
        params = json.loads(request.body) if request.body else {}
        given = {**request.query, **params}
        result = action(state, given)
        if given.get("show") == "page":  # a button on the overview page
            return ApiResponse(303, result, headers={"Location": "/"})
        return ApiResponse(200, result)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        return ApiResponse(400, {"error": message})


Params = dict[str, Any]


def _get_health(state: SandboxState, params: Params) -> Any:
    vendors = {vendor.name: vendor.base_path for vendor in state.vendors}
    return {"status": "ok", "sandbox": True, "now": state.clock.now(), "speed": state.clock.speed, "vendors": vendors}


def _list_requests(state: SandboxState, params: Params) -> Any:
    return [record.as_dict() for record in state.log.find(params.get("vendor"), after=int(params.get("after", 0)))]


def _list_runs(state: SandboxState, params: Params) -> Any:
    return [run.as_dict() for run in state.runs(params.get("vendor"))]


def _count_starts(state: SandboxState, params: Params) -> Any:
    return state.starts(params.get("vendor"))


def _get_peak_requests_per_second(state: SandboxState, params: Params) -> Any:
    return state.peak_requests_per_second(params.get("vendor"))


def _start_run(state: SandboxState, params: Params) -> Any:
    return state.start_run(
        params["target_id"],
        vendor=params.get("vendor"),
        kind=params.get("kind"),
        source=params.get("source", "scheduler"),
    ).as_dict()


def _restore_run(state: SandboxState, params: Params) -> Any:
    return state.restore_run(SandboxRun(**params["run"]), Behavior(**params.get("behavior", {}))).as_dict()


def _list_faults(state: SandboxState, params: Params) -> Any:
    return [
        {**active.fault.as_dict(), "matched": active.matched, "applied": active.applied}
        for active in state.faults.active
    ]


def _add_fault(state: SandboxState, params: Params) -> Any:
    state.faults.add(Fault(**params), state.clock.now())


def _clear_faults(state: SandboxState, params: Params) -> Any:
    state.faults.clear()


def _set_behavior(state: SandboxState, params: Params) -> Any:
    state.set_behaviors(params["target_id"], _parse_behaviors(params), params.get("vendor"))


def _configure(state: SandboxState, params: Params) -> Any:
    state.configure(params["vendor"], params["settings"])


def _add_target(state: SandboxState, params: Params) -> Any:
    state.add_target(params["vendor"], params["kind"], params["id"], _parse_behaviors(params), params.get("fields", {}))


def _advance(state: SandboxState, params: Params) -> Any:
    state.clock.advance(float(params["seconds"]))
    return state.clock.now()


def _set_speed(state: SandboxState, params: Params) -> Any:
    state.clock.speed = float(params["speed"])


def _reset(state: SandboxState, params: Params) -> Any:
    state.reset()


def _parse_behaviors(params: Params) -> list[Behavior]:
    return [Behavior(**arguments) for arguments in params.get("behaviors", [])]


_ACTIONS: dict[tuple[str, str], Callable[[SandboxState, Params], Any]] = {
    ("GET", "health"): _get_health,
    ("GET", "requests"): _list_requests,
    ("GET", "runs"): _list_runs,
    ("POST", "runs"): _start_run,
    ("GET", "starts"): _count_starts,
    ("GET", "peak_requests_per_second"): _get_peak_requests_per_second,
    ("POST", "runs/restore"): _restore_run,
    ("GET", "faults"): _list_faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "behavior"): _set_behavior,
    ("POST", "settings"): _configure,
    ("POST", "targets"): _add_target,
    ("POST", "advance"): _advance,
    ("POST", "speed"): _set_speed,
    ("POST", "reset"): _reset,
}
