"""The control endpoints under `/_sandbox/`, for tests and for users with curl."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dagster_runs.sandbox.behavior import Behavior
from dagster_runs.sandbox.exchange import ApiResponse, Call
from dagster_runs.sandbox.faults import Fault
from dagster_runs.sandbox.runs import SandboxRun
from dagster_runs.sandbox.world import World


def answer(world: World, call: Call) -> ApiResponse:
    """Processes a control request and returns the response."""
    action = _ACTIONS.get((call.method, "/".join(call.segments)))
    if action is None:
        known = [f"{method} /_sandbox/{path}" for method, path in _ACTIONS]
        return ApiResponse(404, {"error": f"There is no {call.method} {call.path}", "known": known})
    try:
        given = json.loads(call.body) if call.body else {}
        return ApiResponse(200, action(world, {**call.query, **given}))
    except (KeyError, TypeError, ValueError) as error:
        message = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        return ApiResponse(400, {"error": message})


Given = dict[str, Any]


def _health(world: World, given: Given) -> Any:
    vendors = {vendor.name: vendor.base_path for vendor in world.vendors}
    return {"status": "ok", "sandbox": True, "now": world.clock.now(), "speed": world.clock.speed, "vendors": vendors}


def _requests(world: World, given: Given) -> Any:
    return [record.as_dict() for record in world.log.list(given.get("vendor"), after=int(given.get("after", 0)))]


def _runs(world: World, given: Given) -> Any:
    return [run.as_dict() for run in world.runs(given.get("vendor"))]


def _starts(world: World, given: Given) -> Any:
    return world.starts(given.get("vendor"))


def _busiest_second(world: World, given: Given) -> Any:
    return world.busiest_second(given.get("vendor"))


def _begin_run(world: World, given: Given) -> Any:
    return world.begin_run(
        given["target_id"],
        vendor=given.get("vendor"),
        kind=given.get("kind"),
        source=given.get("source", "scheduler"),
    ).as_dict()


def _restore_run(world: World, given: Given) -> Any:
    return world.restore_run(SandboxRun(**given["run"]), Behavior(**given.get("behavior", {}))).as_dict()


def _faults(world: World, given: Given) -> Any:
    return [
        {**active.fault.as_dict(), "matched": active.matched, "applied": active.applied}
        for active in world.faults.active
    ]


def _add_fault(world: World, given: Given) -> Any:
    world.faults.add(Fault(**given), world.clock.now())


def _clear_faults(world: World, given: Given) -> Any:
    world.faults.clear()


def _set_behavior(world: World, given: Given) -> Any:
    world.set_behaviors(given["target_id"], _behaviors(given), given.get("vendor"))


def _configure(world: World, given: Given) -> Any:
    world.configure(given["vendor"], given["settings"])


def _add_target(world: World, given: Given) -> Any:
    world.add_target(given["vendor"], given["kind"], given["id"], _behaviors(given), given.get("fields", {}))


def _advance(world: World, given: Given) -> Any:
    world.clock.advance(float(given["seconds"]))
    return world.clock.now()


def _set_speed(world: World, given: Given) -> Any:
    world.clock.speed = float(given["speed"])


def _reset(world: World, given: Given) -> Any:
    world.reset()


def _behaviors(given: Given) -> list[Behavior]:
    return [Behavior(**one) for one in given.get("behaviors", [])]


_ACTIONS: dict[tuple[str, str], Callable[[World, Given], Any]] = {
    ("GET", "health"): _health,
    ("GET", "requests"): _requests,
    ("GET", "runs"): _runs,
    ("POST", "runs"): _begin_run,
    ("GET", "starts"): _starts,
    ("GET", "busiest_second"): _busiest_second,
    ("POST", "runs/restore"): _restore_run,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "behavior"): _set_behavior,
    ("POST", "settings"): _configure,
    ("POST", "targets"): _add_target,
    ("POST", "advance"): _advance,
    ("POST", "speed"): _set_speed,
    ("POST", "reset"): _reset,
}
