"""Mistakes of an author of a vendor, each with the scenario of the kit that finds it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import requests

from dagster_runs.vendor_sdk import (
    CheckOutcome,
    ListedRun,
    NotFoundError,
    QualityGate,
    RunResult,
    RunState,
    RunStatus,
    StartAttempt,
    StartCandidate,
    VendorError,
    bearer,
    parse_state,
)
from tests.testing.looms import (
    STATES,
    LoomResource,
    Weave,
    WeaveRun,
    Weaves,
)


class UnknownIsSuccess(WeaveRun):
    """Maps every unknown status to a success."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        status = super().fetch_status(resource, run_id)
        return replace(status, state=RunState.SUCCEEDED) if status.state is RunState.UNKNOWN else status


class UnknownFinalIsSuccess(WeaveRun):
    """Treats a run with an end time as a success."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        status = super().fetch_status(resource, run_id)
        is_final = status.finished_at is not None and status.state is RunState.UNKNOWN
        return replace(status, state=RunState.SUCCEEDED) if is_final else status


class MissingStateIsSuccess(WeaveRun):
    """Uses a default for a missing state."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        body = resource.http().get(["weaves", run_id]).json
        word = str(body.get("status", "done"))
        return RunStatus(parse_state(word, STATES), word, raw=Weave.model_validate({**body, "status": word}))


class StartsRepeatedly(WeaveRun):
    """Sends the start with a client that repeats it."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        return resource.http().send_repeatable("POST", ["weaves"], json=self.body(attempt)).parse(Weave).id


class StartsWithItsOwnRetry(WeaveRun):
    """Sends the start with `requests`, and again after any error."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        for _ in range(3):
            try:
                response = requests.post(
                    f"{resource.base_url}/weaves",
                    json=self.body(attempt),
                    headers={"Authorization": f"Bearer {resource.secret('token')}"},
                )
                response.raise_for_status()
                return str(response.json()["id"])
            except (requests.RequestException, ValueError):
                continue
        raise VendorError("it did not start", vendor=self.vendor)


class LostStartIsRefused(WeaveRun):
    """Raises an error of its own, which says that nothing was started."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        try:
            return super().start(resource, attempt)
        except VendorError as error:
            raise VendorError(error.detail, vendor=self.vendor, may_have_been_accepted=False) from None


class NotFoundIsSuccess(WeaveRun):
    """Treats any 404 as the end of the run."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        try:
            return super().fetch_status(resource, run_id)
        except NotFoundError:
            weave = Weave(id=run_id, status="gone", rows=1)
            return RunStatus(RunState.SUCCEEDED, "gone", raw=weave)


class OutageIsFailure(WeaveRun):
    """Treats any error of a poll as a failure of the run."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        try:
            return super().fetch_status(resource, run_id)
        except VendorError as error:
            return RunStatus(RunState.FAILED, "unavailable", str(error))


class ListWithoutTimes(LoomResource):
    """Lists runs without their creation times."""

    def listed(self, weave: Weave) -> ListedRun:
        return replace(super().listed(weave), created_at=None)


class ListOfOwnRuns(LoomResource):
    """Lists only runs with a note, which are those that Dagster started."""

    def weaves(self) -> list[Weave]:
        return [weave for weave in super().weaves() if weave.note]


class StrictList(LoomResource):
    """Reads the list as a whole, so that one unreadable entry fails it."""

    def weaves(self) -> list[Weave]:
        return [Weave.model_validate(entry) for entry in self.http().get(["weaves"]).json["weaves"]]


class ListDropsAfterUnreadable(LoomResource):
    """Stops at the first entry that cannot be read."""

    def weaves(self) -> list[Weave]:
        found = []
        for entry in self.http().get(["weaves"]).parse(Weaves).weaves.entries:
            if not isinstance(entry, Weave):
                break
            found.append(entry)
        return found


class FirstPageOnly(LoomResource):
    """Reads only the first page of the list."""

    def weaves(self) -> list[Weave]:
        return list(self.http().get(["weaves"]).parse(Weaves).weaves)


class TimesOfTheVendor(LoomResource):
    """Does not convert the times of the list to our clock."""

    def listed(self, weave: Weave) -> ListedRun:
        return replace(super().listed(weave), created_at=weave.created and weave.created.timestamp())


class FiltersByOurTime(LoomResource):
    """Compares the vendor's times with a time by our clock."""

    def list_runs(
        self, since: float, until: float | None = None, targets: Collection[str] = ()
    ) -> Iterator[ListedRun] | None:
        return (self.listed(one) for one in self.weaves() if one.created and one.created.timestamp() >= since)


class ShowsTheToken(WeaveRun):
    """Quotes the whole request in its error."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        try:
            return super().start(resource, attempt)
        except VendorError as error:
            headers = resource.auth().headers()
            raise VendorError(f"could not send {headers}", vendor=self.vendor, may_have_been_accepted=True) from error


class UnhiddenToken(LoomResource):
    """Sends the token without hiding it."""

    def auth(self) -> Any:
        auth = bearer(self.secret("token") or "")
        auth.redactor().clean = lambda text: text  # type: ignore[method-assign]
        auth.redactor().clean_json = lambda value, depth=0: value  # type: ignore[method-assign]
        return auth


class AcceptsAnyToken(LoomResource):
    """Does not look at what the vendor says about the token."""

    def check_access(self, runs: Any) -> str:
        return ""


class ChecksByStarting(LoomResource):
    """Starts a run to see whether the token works."""

    def check_access(self, runs: Any) -> str:
        self.http().post_once(["weaves"], json={"pattern": "herringbone"})
        return ""


class CancelDoesNothing(WeaveRun):
    """Only says that it cancels."""

    def cancel(self, resource: LoomResource, run_id: str) -> None:
        return


class CanceledIsFailure(WeaveRun):
    """Does not distinguish canceled runs from failed ones."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        status = super().fetch_status(resource, run_id)
        return replace(status, state=RunState.FAILED) if status.state is RunState.CANCELED else status


class ForgetsACheck(WeaveRun):
    """Declares a check that it never reports."""

    data_checks: ClassVar[Any] = {
        "has_rows": "Whether any rows were woven.",
        "is_straight": "Whether the edges are straight.",
    }


class UndeclaredCheck(WeaveRun):
    """Reports a check that it does not declare."""

    def fetch_result(self, *args: Any) -> RunResult:
        return RunResult({}, [CheckOutcome("has_rows", passed=True), CheckOutcome("is_straight", passed=True)])


class WrongId(WeaveRun):
    """Returns the id of the first run in the list, which may be another one."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        super().start(resource, attempt)
        return "another-run"


class FindsAnyRun(WeaveRun):
    """Takes the newest run for ours."""

    def find_started(self, resource: LoomResource, attempt: StartAttempt) -> Sequence[StartCandidate]:
        return [StartCandidate(weave.id, is_ours=True) for weave in resource.weaves()[-1:]]


class FindsNothing(WeaveRun):
    """Searches for another text than the one that it sends."""

    def find_started(self, resource: LoomResource, attempt: StartAttempt) -> Sequence[StartCandidate]:
        return [StartCandidate(one.id, is_ours=True) for one in resource.weaves() if one.note == attempt.dagster_run_id]


class FailsWithoutError(WeaveRun):
    """Does not read the vendor's error."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        return replace(super().fetch_status(resource, run_id), error=None)


class FailureIsSuccess(WeaveRun):
    """Treats any end as a success."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        status = super().fetch_status(resource, run_id)
        return replace(status, state=RunState.SUCCEEDED) if status.state is RunState.FAILED else status


class LocalTimes(WeaveRun):
    """Reads the end as a local time."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        status = super().fetch_status(resource, run_id)
        end = status.finished_at
        return replace(status, finished_at=end and end.replace(hour=(end.hour + 5) % 24, day=end.day % 28 + 1))


class DoesNotKnowConflicts(WeaveRun):
    """Treats a conflict as an error."""

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        return False


class EverythingIsAConflict(WeaveRun):
    """Waits after any refusal, also of the credentials."""

    def is_conflict_with_active_run(self, error: Exception) -> bool:
        return True


class IgnoresTheWindow(WeaveRun):
    """Has the fields of a window, but does not send them."""

    def body(self, attempt: StartAttempt) -> dict[str, Any]:
        return {"pattern": self.pattern, "note": attempt.correlation_id}


class PlainPaths(WeaveRun):
    """Writes the id into the URL without encoding it."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        response = requests.get(
            f"{resource.base_url}/weaves/{run_id}", headers={"Authorization": f"Bearer {resource.secret('token')}"}
        )
        if not response.ok:
            raise VendorError(f"HTTP {response.status_code}", vendor=self.vendor)
        weave = Weave.model_validate(response.json())
        return RunStatus(parse_state(weave.status, STATES), weave.status, raw=weave)


class PollsWithoutRetryAfter(PlainPaths):
    """Polls with `requests`, so it does not know Retry-After."""


class NeedsSensitiveFields(WeaveRun):
    """Cannot be polled without a sensitive field."""

    def fetch_status(self, resource: LoomResource, run_id: str) -> RunStatus:
        if not self.customer:
            raise VendorError("the customer is unknown", vendor=self.vendor)
        return super().fetch_status(resource, run_id)


class FieldThatCannotBeSet(WeaveRun):
    """Has a field that a launch cannot set to the value that it has."""

    def with_fields(self, changes: Mapping[str, Any]) -> Any:
        raise ValueError("fields cannot be changed")


class ObservesOwnTargetOnly(WeaveRun):
    """Says for every listed run that it is of another kind."""

    def target_of_listed(self, resource: LoomResource, listed: ListedRun) -> str | None:
        return ""


class LinkWithToken(WeaveRun):
    """Puts the token into the link."""

    def run_url(self, resource: LoomResource, run_id: str) -> str | None:
        return f"https://looms.example/{run_id}?token={resource.secret('token')}"


class AskingForPatience(WeaveRun):
    """Says after a 401 that it is temporary."""

    def start(self, resource: LoomResource, attempt: StartAttempt) -> str:
        try:
            return super().start(resource, attempt)
        except VendorError as error:
            raise VendorError("the service is not ready", vendor=self.vendor) from error


class ResultOfAnActiveRun(WeaveRun):
    """Fails while the result is fetched."""

    def fetch_result(
        self, resource: LoomResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        return RunResult({"looms/rows": status.raw["rows"]})


MISTAKES: list[tuple[str, type[WeaveRun], type[LoomResource], str]] = [
    ("unknown_state", UnknownIsSuccess, LoomResource, "1 requests|while the run was active"),
    ("unknown_final_state", UnknownFinalIsSuccess, LoomResource, "reported as a success"),
    ("state_field", MissingStateIsSuccess, LoomResource, "while the run was active"),
    ("lost_start", StartsRepeatedly, LoomResource, "send_repeatable.*Nothing was sent"),
    ("start_server_error", StartsWithItsOwnRetry, LoomResource, "sent 3 times"),
    ("unreadable_start", StartsWithItsOwnRetry, LoomResource, "sent 3 times"),
    ("start_reset", StartsWithItsOwnRetry, LoomResource, "sent 3 times"),
    ("not_found_at_first", NotFoundIsSuccess, LoomResource, "while the run was active"),
    ("lost_run", NotFoundIsSuccess, LoomResource, "reported as a success"),
    ("poll_html", NotFoundIsSuccess, LoomResource, "while the run was active"),
    ("poll_server_error", OutageIsFailure, LoomResource, "the step failed|starts"),
    ("poll_reset", OutageIsFailure, LoomResource, "the step failed|starts"),
    ("poll_rate_limited", OutageIsFailure, LoomResource, "the step failed"),
    ("poll_rate_limited", PollsWithoutRetryAfter, LoomResource, "after Retry-After"),
    ("start_rate_limited", StartsWithItsOwnRetry, LoomResource, "after Retry-After"),
    ("list_runs", WeaveRun, ListWithoutTimes, "created_at"),
    ("list_runs", WeaveRun, ListOfOwnRuns, "leaves out"),
    ("list_runs", WeaveRun, StrictList, "fails the whole list"),
    ("list_runs", WeaveRun, ListDropsAfterUnreadable, "hides"),
    ("long_list", WeaveRun, FirstPageOnly, "leaves out 70 of 120 runs"),
    ("clock_difference", WeaveRun, TimesOfTheVendor, "differs from our clock by -300 s"),
    ("clock_difference", WeaveRun, FiltersByOurTime, "leaves out a new run"),
    ("secrets", ShowsTheToken, LoomResource, "the secret in token"),
    ("secrets", ShowsTheToken, UnhiddenToken, "the secret in token"),
    ("run_page", LinkWithToken, LoomResource, "the secret in token"),
    ("check_access", WeaveRun, AcceptsAnyToken, "refuses the credentials, but check_access"),
    ("check_access", WeaveRun, ChecksByStarting, "started a run"),
    ("cancel", CancelDoesNothing, LoomResource, "did not cancel"),
    ("cancel", CanceledIsFailure, LoomResource, "CANCELED|canceled"),
    ("timeout", CancelDoesNothing, LoomResource, "canceled is False"),
    ("success", ForgetsACheck, LoomResource, "is_straight"),
    ("success", UndeclaredCheck, LoomResource, "is_straight"),
    ("success", WrongId, LoomResource, "."),
    ("success", LocalTimes, LoomResource, "duration_seconds"),
    ("success", ResultOfAnActiveRun, LoomResource, "."),
    ("interrupted_step", WrongId, LoomResource, "."),
    ("search_after_lost_start", FindsAnyRun, LoomResource, "as ours"),
    ("search_after_lost_start", FindsNothing, LoomResource, "we started"),
    ("lost_start", FindsNothing, LoomResource, "."),
    ("failure", FailsWithoutError, LoomResource, "does not show the error"),
    ("failure", FailureIsSuccess, LoomResource, "reported as a success"),
    ("deferred", FailureIsSuccess, LoomResource, "fail: the asset was materialized|requested Dagster runs"),
    ("conflict", DoesNotKnowConflicts, LoomResource, "does not recognize"),
    ("unauthorized", EverythingIsAConflict, LoomResource, "start: "),
    ("unauthorized", AskingForPatience, LoomResource, "start: "),
    ("partitions", IgnoresTheWindow, LoomResource, "does not contain"),
    ("odd_ids", PlainPaths, LoomResource, "a request was sent to"),
    ("payload", NeedsSensitiveFields, LoomResource, "the customer is unknown"),
    ("launchpad", FieldThatCannotBeSet, LoomResource, "cannot be changed"),
    ("observation", ObservesOwnTargetOnly, LoomResource, "was not reported"),
]
