"""An error after an accepted request never counts as a refusal, and the request is never repeated."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import dagster as dg
import pytest

from dagster_runs import StartOutcomeUnknown, build_remote_run_asset
from dagster_runs.remote_run.vendor_code import VendorCodeError
from dagster_runs.transport.clock import use_clock
from dagster_runs.vendor_sdk import (
    Auth,
    ConflictError,
    HeaderAuth,
    InvalidRequestError,
    RateLimitedError,
    RemoteRunResource,
    ServerError,
    StartAttempt,
    UnexpectedResponseError,
    VendorError,
)
from tests.remote_run.acme_jobs import ATTEMPT, Job, define
from tests.transport.conftest import InstantClock
from tests.transport.scripted import Origin, Reply, hang_up

Start = Callable[[Any, "AcmeServer", StartAttempt], Any]


class AcmeServer(RemoteRunResource):
    """A connection to the scripted server."""

    vendor = "Acme"
    base_url: str

    def api_url(self) -> str:
        return self.base_url

    def auth(self) -> Auth:
        return HeaderAuth({}, secrets=())


@pytest.fixture(scope="module")
def running_origin() -> Iterator[Origin]:
    with Origin() as origin:
        yield origin


@pytest.fixture
def origin(running_origin: Origin) -> Iterator[Origin]:
    running_origin.forget()
    with use_clock(InstantClock()):
        yield running_origin


def posts(origin: Origin) -> int:
    return sum(seen.method == "POST" for seen in origin.seen)


def get_after_post(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    job = resource.http().post_once(["jobs"]).json["id"]
    return str(resource.http().get(["jobs", job]).json["run"])


def own_error_after_post(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    resource.http().post_once(["jobs"])
    raise RateLimitedError("try later", vendor="Acme")


def own_conflict_after_post(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    resource.http().post_once(["jobs"])
    raise ConflictError("another run is active", vendor="Acme")


def hides_a_lost_start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    try:
        return str(resource.http().post_once(["jobs"]).json["id"])
    except VendorError as error:
        raise VendorError(error.detail, vendor="Acme") from None


def second_post_refused(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    resource.http().post_once(["jobs"])
    return str(resource.http().post_once(["tags"]).json["id"])


def gets_by_other_means(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    raise VendorError("it did not start", vendor="Acme")


def threads(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    with ThreadPoolExecutor(1) as pool:
        return str(pool.submit(get_after_post, self, resource, attempt).result())


def threads_that_repeat(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(resource.http().send_repeatable, "POST", ["jobs"]).result()
    raise RateLimitedError("try later", vendor="Acme")


def nested(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    job = define(start=lambda self, resource, attempt: resource.http().post_once(["jobs"]).json["id"])()
    job.send_start(resource, attempt)
    return str(resource.http().get(["jobs"]).json["run"])


def tries_again(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    for _ in range(3):
        try:
            return str(resource.http().post_once(["jobs"]).json["id"])
        except VendorError:
            continue
    raise RateLimitedError("try later", vendor="Acme")


def fails_the_step(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    resource.http().post_once(["jobs"])
    raise dg.Failure("the job has no owner", allow_retries=False)


def full_error_by_other_means(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    raise ServerError("bad gateway", vendor="Acme", method="POST", path="/jobs", status=502)


def refusal_of_another_response(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
    resource.http().post_once(["jobs"])
    raise resource.http().get(["jobs"]).refused("it was not started")


ACCEPTED = Reply(200, {"id": "j1"})
AFTER_THE_POST: dict[str, tuple[Start, list[Any], int]] = {
    "a later call fails": (get_after_post, [ACCEPTED, Reply(503)], 1),
    "a later call is refused": (get_after_post, [ACCEPTED, Reply(404, {})], 1),
    "a later call is limited": (get_after_post, [ACCEPTED, Reply(429, {})], 1),
    "an error of its own": (own_error_after_post, [ACCEPTED], 1),
    "a conflict of its own": (own_conflict_after_post, [ACCEPTED], 1),
    "an error of its own after a lost response": (hides_a_lost_start, [hang_up], 1),
    "an error of its own after a server error": (hides_a_lost_start, [Reply(502)], 1),
    "a second request is refused": (second_post_refused, [ACCEPTED, Reply(409, {})], 2),
    "a call by other means": (gets_by_other_means, [ACCEPTED], 0),
    "a full error after a call by other means": (full_error_by_other_means, [ACCEPTED], 0),
    "calls in a thread": (threads, [ACCEPTED, Reply(503)], 1),
    "a repeatable call in a thread": (threads_that_repeat, [ACCEPTED], 1),
    "a start inside the start": (nested, [ACCEPTED, Reply(503)], 1),
    "a loop after lost responses": (tries_again, [hang_up], 1),
    "a failure of the step": (fails_the_step, [ACCEPTED], 1),
    "the refusal of another response": (refusal_of_another_response, [ACCEPTED], 1),
    "a redirect to a page": (get_after_post, [Reply(302, {}, {"Location": "/jobs/1"})], 1),
}


@pytest.mark.parametrize(("start", "replies", "sent"), AFTER_THE_POST.values(), ids=AFTER_THE_POST)
def test_error_after_the_request_is_a_lost_start(
    start: Start, replies: list[Any], sent: int, origin: Origin, instance: dg.DagsterInstance
) -> None:
    origin.replies = replies
    run = define(start=start, is_conflict_with_active_run=lambda self, error: isinstance(error, ConflictError))()
    asset = build_remote_run_asset(run, key="one", retry_policy=dg.RetryPolicy(max_retries=2))
    resources = {"acme": AcmeServer(base_url=origin.url, max_retries=2)}
    result = dg.materialize([asset], resources=resources, instance=instance, raise_on_error=False)
    [failed] = result.get_step_failure_events()
    assert StartOutcomeUnknown.__name__ in str(failed.step_failure_data.error_display_string)
    assert posts(origin) == sent


def refused_start(error: Callable[[Any], VendorError]) -> type[Job]:
    """Returns a kind of run whose vendor refuses a start with the status 200."""

    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        raise error(resource.http().post_once(["jobs"]))

    return define(start=start)


def test_refusal_with_a_successful_status_is_told_by_the_response(origin: Origin) -> None:
    with pytest.raises(InvalidRequestError, match="Acme POST /jobs returned 200: no such pipeline") as raised:
        refused_start(lambda response: response.refused("no such pipeline", InvalidRequestError))().send_start(
            AcmeServer(base_url=origin.url), ATTEMPT
        )
    assert not raised.value.may_have_been_accepted
    assert raised.value.is_from_client


def test_other_error_of_a_response_may_have_started_a_run(origin: Origin) -> None:
    with pytest.raises(VendorError) as raised:
        refused_start(lambda response: response.unexpected("no id"))().send_start(
            AcmeServer(base_url=origin.url), ATTEMPT
        )
    assert raised.value.may_have_been_accepted


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
def test_refused_request_started_nothing(status: int, origin: Origin) -> None:
    origin.replies = [Reply(status, {})]
    with pytest.raises(VendorError) as raised:
        define(start=get_after_post)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted


def test_redirect_to_the_same_path_with_a_slash_started_nothing(origin: Origin) -> None:
    origin.replies = [Reply(301, {}, {"Location": f"{origin.url}/jobs/?next=t0ken"})]
    with pytest.raises(UnexpectedResponseError) as raised:
        define(start=get_after_post)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted
    assert "t0ken" not in str(raised.value)


@pytest.mark.parametrize("value", [object(), float("nan"), datetime(2026, 1, 1)])
def test_body_that_cannot_be_sent_started_nothing(value: Any, origin: Origin) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        return str(resource.http().post_once(["jobs"], json={"at": value}).json["id"])

    with pytest.raises(InvalidRequestError, match="the body cannot be sent") as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted
    assert origin.seen == []


@pytest.mark.parametrize("returned", ["no", 1, None])
def test_idempotence_that_is_no_bool_is_refused_before_the_request(returned: Any, origin: Origin) -> None:
    run = define(start=get_after_post, start_is_idempotent=property(lambda self: returned))()
    with pytest.raises(VendorCodeError, match=r"start_is_idempotent\(\) returned .*; it must return True or False"):
        run.send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert origin.seen == []


def test_failure_before_the_request_is_a_refusal(origin: Origin, instance: dg.DagsterInstance) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        raise dg.Failure("the job has no owner", allow_retries=False)

    with pytest.raises(InvalidRequestError, match="the job has no owner") as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted


def test_error_before_the_request_started_nothing(origin: Origin) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        return str(resource.http().get(["account"]).json["id"])

    origin.replies = [Reply(503)]
    with pytest.raises(VendorError) as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url, max_retries=0), ATTEMPT)
    assert not raised.value.may_have_been_accepted


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_start_that_the_client_would_repeat_is_refused_before_it_is_sent(method: str, origin: Origin) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        return str(resource.http().send_repeatable(method, ["jobs"]).json["id"])

    with pytest.raises(InvalidRequestError, match=f"sends a {method} with send_repeatable") as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert "Use send_once() or post_once()" in str(raised.value)
    assert not raised.value.may_have_been_accepted
    assert origin.seen == []


def test_call_that_starts_nothing_may_be_part_of_a_start(origin: Origin) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        http = resource.http()
        http.send_repeatable("PATCH", ["connectors", 7], json={"paused": False}, starts_nothing=True)
        http.send_once("POST", ["drafts"], starts_nothing=True)
        return str(http.post_once(["jobs"]).json["id"])

    origin.replies = [Reply(503), Reply(), Reply(200, {}), Reply(429, {})]
    with pytest.raises(RateLimitedError) as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted
    assert [seen.method for seen in origin.seen] == ["PATCH", "PATCH", "POST", "POST"]


def test_failure_of_a_call_that_starts_nothing_is_no_lost_start(origin: Origin) -> None:
    def start(self: Any, resource: AcmeServer, attempt: StartAttempt) -> str:
        resource.http().send_once("POST", ["drafts"], starts_nothing=True)
        return str(resource.http().post_once(["jobs"]).json["id"])

    origin.replies = [Reply(502)]
    with pytest.raises(ServerError) as raised:
        define(start=start)().send_start(AcmeServer(base_url=origin.url), ATTEMPT)
    assert not raised.value.may_have_been_accepted


class TokenServer(AcmeServer):
    """A connection with a token endpoint."""

    def auth(self) -> Auth:
        return self.exchanged_token(f"{self.base_url}/token", form={"client_id": self.base_url}, secrets=())


def test_token_is_fetched_and_retried_within_a_start(origin: Origin) -> None:
    origin.replies = [Reply(503), Reply(200, {"access_token": "t0ken", "expires_in": 900}), ACCEPTED]
    run = define(start=lambda self, resource, attempt: resource.http().post_once(["jobs"]).json["id"])()
    assert run.send_start(TokenServer(base_url=origin.url), ATTEMPT) == "j1"
    assert [seen.path for seen in origin.seen] == ["/token", "/token", "/jobs"]
