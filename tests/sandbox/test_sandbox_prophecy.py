"""Prophecy: the pipeline trigger."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known

PIPELINE, FAILING = well_known.PROPHECY_PIPELINE, well_known.PROPHECY_PIPELINE_FAILING
FABRIC, PROJECT = well_known.PROPHECY_FABRIC, well_known.PROPHECY_PROJECT
BODY = {"fabricId": FABRIC, "projectId": PROJECT, "pipelineName": PIPELINE}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"
RUN = {"success", "runId", "createdAt", "updatedAt", "projectId", "pipelineName", "fabricId", "runStatus"}


def trigger(api: Any, **fields: Any) -> str:
    response = api.json("POST", "", json={**BODY, **fields})
    assert response["success"] is True, response
    return str(response["runId"])


def get_status(api: Any, run_id: str) -> Any:
    return api.json("GET", f"/{quote(run_id, safe='')}")


def assert_rejected(response: Any) -> str:
    """Checks that the request was rejected, with HTTP 200."""
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"success", "msg"}
    assert body["success"] is False
    return str(body["msg"])


def test_trigger_response(sandbox: Sandbox, prophecy: Any) -> None:
    response = prophecy("POST", "", json=BODY)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"success", "runId", "msg"}
    assert (body["success"], body["msg"]) == (True, "Pipeline triggered successfully.")
    assert re.fullmatch(r"MDAw-[0-9A-Za-z]{20}--[0-9A-Za-z]{12}==", body["runId"])
    assert sandbox.requests()[0].started_run == body["runId"]
    assert sandbox.starts("prophecy") == 1


def test_run_life_cycle(sandbox: Sandbox, prophecy: Any) -> None:
    run_id = trigger(prophecy)
    sandbox.advance(11)
    running = get_status(prophecy, run_id)
    assert set(running) == RUN
    assert running["createdAt"] == running["updatedAt"]
    assert (running["runStatus"], running["success"]) == ("RUNNING", True)
    sandbox.advance(2)
    ended = get_status(prophecy, run_id)
    assert set(ended) == RUN
    assert re.fullmatch(TIME, ended["createdAt"])
    assert ended["updatedAt"] > ended["createdAt"]
    # The fabric id is an integer in the request and a string in the response.
    assert (ended["fabricId"], ended["projectId"], ended["pipelineName"]) == (str(FABRIC), PROJECT, PIPELINE)
    assert (ended["runId"], ended["runStatus"]) == (run_id, "SUCCEEDED")


def test_failed_run(sandbox: Sandbox, prophecy: Any) -> None:
    run_id = trigger(prophecy, pipelineName=FAILING)
    assert "errorMessage" not in get_status(prophecy, run_id)
    sandbox.advance(11)
    failed = get_status(prophecy, run_id)
    assert set(failed) == RUN | {"errorMessage"}
    # `success` refers to the status request, not to the run.
    assert (failed["success"], failed["runStatus"]) == (True, "ERROR")
    assert len(failed["errorMessage"].splitlines()) > 2
    sandbox.set_behavior(PIPELINE, Behavior(outcome="fail", error="boom", running_seconds=1))
    run_id = trigger(prophecy)
    sandbox.advance(1)
    assert get_status(prophecy, run_id)["errorMessage"] == "boom"


def test_undocumented_states(sandbox: Sandbox, prophecy: Any) -> None:
    queued = Behavior(hold="QUEUED", hold_when="queued", hold_seconds=5, running_seconds=1)
    sandbox.set_behavior(PIPELINE, [queued, Behavior(outcome="cancel", running_seconds=1)])
    first, second = trigger(prophecy), trigger(prophecy)
    assert [get_status(prophecy, run_id)["runStatus"] for run_id in (first, second)] == ["QUEUED", "RUNNING"]
    sandbox.advance(5.5)
    assert [get_status(prophecy, run_id)["runStatus"] for run_id in (first, second)] == ["RUNNING", "CANCELED"]
    sandbox.advance(1)
    assert get_status(prophecy, first)["runStatus"] == "SUCCEEDED"


def test_times_with_a_zone(sandbox: Sandbox, prophecy: Any) -> None:
    sandbox.set_behavior(PIPELINE, Behavior(time_format="zulu"))
    run = get_status(prophecy, trigger(prophecy))
    assert re.fullmatch(f"{TIME}Z", run["createdAt"])


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {}},
        {"parameters": {"franchise_id": "3000007"}, "branch": "main", "version": "2", "processName": "join_orders"},
    ],
)
def test_valid_bodies(sandbox: Sandbox, prophecy: Any, fields: Any) -> None:
    trigger(prophecy, **fields)
    assert sandbox.runs()[0].body == {**BODY, **fields}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fabricId": ...}, "(/fabricId,List(JsonValidationError(List(error.path.missing)"),
        ({"fabricId": str(FABRIC)}, "/fabricId,List(JsonValidationError(List(error.expected.jsnumber)"),
        ({"fabricId": float(FABRIC)}, "jsnumber"),
        ({"fabricId": True}, "jsnumber"),
        ({"fabricId": 2**63}, "jsnumber"),
        ({"projectId": ...}, "/projectId"),
        ({"projectId": int(PROJECT)}, "/projectId"),
        ({"pipelineName": ...}, "/pipelineName"),
        ({"pipelineName": None}, "/pipelineName"),
        ({"parameters": {"a": "1", "b": 2}}, "/parameters/b,List(JsonValidationError(List(error.expected.jsstring)"),
        ({"parameters": [["a", "1"]]}, "jsobject"),
        ({"parameters": None}, "/parameters"),
        ({"branch": 1}, "/branch"),
        ({"version": 2}, "/version"),
        ({"processName": ["a"]}, "/processName"),
        ({"process_name": "a"}, "/process_name"),
        ({"projectId": "1"}, "Project with uid `1` not found"),
        ({"pipelineName": "unknown"}, "`unknown` not found"),
        (
            {"fabricId": 2290},
            "Success(Left(sdl.md.client.package$MetadataException: Fabric with uid `2290` not found))",
        ),
    ],
)
def test_invalid_bodies(sandbox: Sandbox, prophecy: Any, changes: Any, message: str) -> None:
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not ...}
    actual_message = assert_rejected(prophecy("POST", "", json=body))
    assert actual_message.startswith("error in triggering pipeline: ")
    assert message in actual_message
    assert sandbox.runs() == []


def test_bodies_that_are_not_json(sandbox: Sandbox, prophecy: Any) -> None:
    assert_rejected(prophecy("POST", "", data="{", headers={"Content-Type": "application/json"}))
    assert_rejected(prophecy("POST", "", data={"fabricId": "1"}))
    assert_rejected(prophecy("POST", "", json=[]))
    assert sandbox.runs() == []


def test_unknown_fabric(sandbox: Sandbox, prophecy: Any) -> None:
    sandbox.set_behavior(PIPELINE, [Behavior(outcome="fail"), Behavior()])
    sandbox.configure("prophecy", unknown_fabric="lost")
    lost = trigger(prophecy, fabricId=2290)
    assert "not found" in assert_rejected(prophecy("GET", f"/{lost}"))
    sandbox.configure("prophecy", unknown_fabric="stuck")
    stuck = trigger(prophecy, fabricId=2290)
    sandbox.advance(7 * 86_400)
    run = get_status(prophecy, stuck)
    assert (run["runStatus"], run["fabricId"], run["updatedAt"]) == ("RUNNING", "2290", run["createdAt"])
    assert sandbox.starts("prophecy") == 0
    assert [(run.source, run.started_at) for run in sandbox.runs()] == [("never-started", None)]
    # They did not consume a behavior that was meant for a run.
    run_id = trigger(prophecy)
    sandbox.advance(20)
    assert get_status(prophecy, run_id)["runStatus"] == "ERROR"


def test_run_ids_in_a_path(sandbox: Sandbox, prophecy: Any) -> None:
    run_id = trigger(prophecy)
    for path in (run_id, quote(run_id, safe=""), f"%{ord(run_id[0]):x}{run_id[1:]}"):
        assert prophecy.json("GET", f"/{path}")["runId"] == run_id
    assert sandbox.requests()[-2].path.endswith("%3D%3D")
    sandbox.configure("prophecy", id_format="base64")
    run_id = trigger(prophecy)
    assert "/" in run_id
    assert "+" in run_id
    assert get_status(prophecy, run_id)["runId"] == run_id
    assert prophecy("GET", f"/{run_id}").status_code == 404
    assert "not found" in assert_rejected(prophecy("GET", "/unknown"))
    assert prophecy("GET", "/").status_code == 404
    assert prophecy("DELETE", f"/{quote(run_id, safe='')}").status_code == 405


def test_credentials(sandbox: Sandbox, prophecy: Any) -> None:
    invalid = [{"X-AUTH-TOKEN": None}, {"X-AUTH-TOKEN": "wrong"}]
    bearer = {"X-AUTH-TOKEN": None, "Authorization": f"Bearer {well_known.PROPHECY_TOKEN}"}
    for headers in [*invalid, bearer]:
        response = prophecy("POST", "", json=BODY, headers=headers)
        assert (response.status_code, set(response.json())) == (401, {"message"})
    assert [item.headers["x-auth-token"] for item in sandbox.requests()] == ["missing", "invalid", "missing"]
    assert well_known.PROPHECY_TOKEN not in repr(sandbox.requests())
    sandbox.configure("prophecy", invalid_token_response="login_page")
    sandbox.add_fault(Fault("expired_token", method="GET"))
    for response in (prophecy("POST", "", json=BODY, headers=invalid[1]), prophecy("GET", "/x")):
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "Sign In" in response.text
    assert sandbox.starts() == 0


def test_added_pipelines(sandbox: Sandbox, prophecy: Any) -> None:
    sandbox.add_target("prophecy", "pipeline", "mine", Behavior(running_seconds=1), project_id="7", fabric_id=8)
    run_id = trigger(prophecy, pipelineName="mine", projectId="7", fabricId=8)
    run = get_status(prophecy, run_id)
    assert (run["projectId"], run["fabricId"]) == ("7", "8")
    assert "not found in project `7`" in assert_rejected(prophecy("POST", "", json={**BODY, "projectId": "7"}))
    external_run = sandbox.start_run("mine")
    assert get_status(prophecy, external_run.id)["fabricId"] == "8"
    for call in (
        lambda: sandbox.add_target("prophecy", "project", "x"),
        lambda: sandbox.set_behavior(PIPELINE, Behavior(time_format="local")),
        lambda: sandbox.configure("prophecy", unknown_fabric="ignored"),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


PIPELINE_PAGE = "/metadata/sql/{project}?entity=pipeline&name={name}"
HISTORY_PAGE = "/metadata/ide/observation?observationTab=run-history&prFabricId={fabric}&prProjectId={project}"
DEFAULT_PARAMETERS = {"project": PROJECT, "fabric": FABRIC, "name": PIPELINE}


@pytest.mark.parametrize(
    ("page", "other_parameters"),
    [
        (PIPELINE_PAGE, {"name": FAILING}),
        (PIPELINE_PAGE, {"project": "1"}),
        (HISTORY_PAGE, {"project": "1"}),
        (HISTORY_PAGE, {"fabric": 1}),
    ],
)
def test_pages_of_deep_links(sandbox: Sandbox, prophecy: Any, page: str, other_parameters: dict[str, Any]) -> None:
    run_id = trigger(prophecy)
    # A browser has no token.
    prophecy.base_url, prophecy.session.headers["X-AUTH-TOKEN"] = f"{sandbox.url}/prophecy", None

    def get_page(**parameters: Any) -> str:
        response = prophecy("GET", page.format(**{**DEFAULT_PARAMETERS, **parameters}))
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "simulation" in response.text
        return str(response.text)

    assert f"{run_id}, {PIPELINE}: RUNNING" in get_page()
    sandbox.advance(3600)
    assert f"{run_id}, {PIPELINE}: SUCCEEDED" in get_page()
    assert run_id not in get_page(**other_parameters)
    assert "<script>" not in get_page(project="%3Cscript%3E", name="%3Cscript%3E", fabric="%3Cscript%3E")


def test_run_history_lists_the_newest_run_first(sandbox: Sandbox, prophecy: Any) -> None:
    first, second = trigger(prophecy), trigger(prophecy, pipelineName=FAILING)
    external = sandbox.start_run(PIPELINE).id  # without a body, so on the default fabric
    prophecy.base_url = f"{sandbox.url}/prophecy"
    text = prophecy("GET", HISTORY_PAGE.format(**DEFAULT_PARAMETERS)).text
    assert sorted((first, second, external), key=text.index) == [external, second, first]


# --- faults


def test_faults_have_the_shape_of_the_vendor(sandbox: Sandbox, prophecy: Any) -> None:
    run_id = trigger(prophecy)
    sandbox.add_fault(Fault("not_found", times=2))
    responses = [prophecy("GET", f"/{run_id}") for _ in range(3)]
    assert "not found" in assert_rejected(responses[0])
    assert [response.json()["success"] for response in responses] == [False, False, True]
    for code, kind in (
        (401, "application/json"),
        (429, "application/json"),
        (500, "application/json"),
        (502, "text/html"),
    ):
        sandbox.add_fault(Fault("status", status=code, times=1))
        response = prophecy("GET", f"/{run_id}")
        assert (response.status_code, response.headers["Content-Type"].split(";")[0]) == (code, kind)
        assert response.text
    sandbox.add_fault(Fault("echo_secret", times=1))
    assert well_known.PROPHECY_TOKEN in prophecy("POST", "", json=BODY).text
    sandbox.add_fault(Fault("status_after", times=1))
    assert prophecy("POST", "", json=BODY).status_code == 502
    assert sandbox.starts() == 2


@pytest.mark.parametrize("ended", [False, True])
def test_unknown_states(sandbox: Sandbox, prophecy: Any, ended: bool) -> None:
    sandbox.add_fault(Fault("unknown_state", state="HIBERNATING", ended=ended))
    run = get_status(prophecy, trigger(prophecy))
    # The vendor has no end time, so none is added.
    assert (set(run), run["runStatus"]) == (RUN, "HIBERNATING")
    assert_rejected(prophecy("GET", "/unknown"))


def test_missing_and_wrong_fields(sandbox: Sandbox, prophecy: Any) -> None:
    run_id = trigger(prophecy)
    sandbox.add_fault(Fault("missing_field", field="runStatus", times=1))
    assert set(get_status(prophecy, run_id)) == RUN - {"runStatus"}
    sandbox.add_fault(Fault("wrong_type", field="updatedAt", value=17, times=1))
    assert get_status(prophecy, run_id)["updatedAt"] == 17
    sandbox.add_fault(Fault("missing_field", method="POST", field="runId", times=1))
    assert set(prophecy.json("POST", "", json=BODY)) == {"success", "msg"}
    assert sandbox.starts() == 2
