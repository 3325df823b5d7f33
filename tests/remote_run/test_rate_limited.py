"""A step whose account is refused with 429 because other processes use it too."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import dagster as dg
import pytest

from dagster_runs import AmperityResource, AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.remote_run.execution.ledger_entry import EntryKind
from dagster_runs.remote_run.types import MAX_START_LATENCY
from dagster_runs.sandbox import Behavior, Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock, sandbox_resources
from dagster_runs.transport import auth, backoff
from tests.remote_run.materializing import PROFILES, entries, entry_of, failure, materialize, run_profiles
from tests.remote_run.reexecuting import at_pause, mark_as_failed, mark_as_terminated, signalled

WORKFLOW = AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS)


def refuse(sandbox: Sandbox, method: str, *, times: int | None = None, **how: str) -> None:
    sandbox.add_fault(Fault("status", method=method, status=429, times=times, **how))  # type: ignore[arg-type]


def run_workflow(sandbox: Sandbox, instance: dg.DagsterInstance, **options: object) -> dg.ExecuteInProcessResult:
    return materialize([build_remote_run_asset(WORKFLOW, key="groups", **options)], sandbox, instance)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def mean_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause has its mean length, so that the tests do not depend on chance."""
    monkeypatch.setattr(backoff, "random", SimpleNamespace(uniform=lambda low, high: (low + high) / 2))


@pytest.mark.usefixtures("clock")
class TestStart:
    @pytest.mark.covers("start.429")
    def test_start_is_patient_with_429(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        refuse(sandbox, "POST", times=4)
        asset = build_remote_run_asset(PROFILES, key="features")
        assert materialize([asset], sandbox, instance, settings={"max_retries": 0}).success
        assert sandbox.starts("rudderstack") == 1
        assert entries(instance, "features") == ["starting", "started"]

    @pytest.mark.covers("start.429")
    def test_start_is_patient_for_hours_and_then_has_a_recent_entry(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        # The search for a lost start relies on an entry that is at most a few minutes older than the request.
        refuse(sandbox, "POST", times=100)
        assert run_profiles(sandbox, instance, timeout=6 * 3600).success
        assert sandbox.starts("rudderstack") == 1
        *refused, starting, started = entries(instance, "features")
        assert (starting, started) == ("starting", "started")
        assert refused == ["starting", "not_started"] * (len(refused) // 2)
        assert 6 <= len(refused) < 100, "far fewer entries than requests"
        sent = [one.received_at for one in sandbox.requests("rudderstack") if one.started_run]
        observed = instance.fetch_observations(dg.AssetKey("features"), limit=1000, ascending=True).records
        [written] = [one.at for one in map(entry_of, observed) if one.kind is EntryKind.STARTING][-1:]
        assert sent[0] - written < MAX_START_LATENCY

    @pytest.mark.covers("start.429")
    def test_start_is_patient_only_until_the_timeout(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        refuse(sandbox, "POST")
        begun = clock.wall()
        result = run_profiles(sandbox, instance, timeout=1000)
        assert "returned 429" in failure(result)
        assert 600 <= clock.wall() - begun <= 1600
        assert entries(instance, "features")[-1] == "not_started"

    @pytest.mark.covers("start.429")
    def test_pauses_between_refused_starts_grow(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        refuse(sandbox, "POST", times=30)
        assert run_profiles(sandbox, instance).success
        sent = [one.received_at for one in sandbox.requests("rudderstack") if one.method == "POST"]
        pauses = [later - earlier for earlier, later in pairwise(sent)]
        assert sum(pauses[:2]) < 50
        assert sum(pauses[-20:]) / 20 > 30

    @pytest.mark.parametrize("ends", [mark_as_terminated, mark_as_failed])
    @pytest.mark.covers("start.terminated-meanwhile")
    def test_nothing_is_started_if_the_dagster_run_ends_while_the_start_is_refused(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, ends: Callable[[dg.DagsterInstance], None]
    ) -> None:
        refuse(sandbox, "POST", times=5)
        with at_pause(sandbox, lambda: ends(instance), pause=3):
            result = run_profiles(sandbox, instance)
        assert not result.success
        assert sandbox.starts("rudderstack") == 0
        assert entries(instance, "features") == ["starting", "not_started"]

    def test_signal_while_the_start_is_refused_records_not_started(
        self, sandbox: Sandbox, instance: dg.DagsterInstance
    ) -> None:
        refuse(sandbox, "POST", times=5)
        with at_pause(sandbox, signalled, pause=3):
            run_profiles(sandbox, instance)
        assert sandbox.starts("rudderstack") == 0
        assert entries(instance, "features") == ["starting", "not_started"]

    def test_refused_login_delays_the_start(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(auth, "_shared", {})
        refuse(sandbox, "POST", path="oauth2/token", times=4)
        resource = AmperityResource(
            tenant=well_known.AMPERITY_TENANT,
            client_id=well_known.AMPERITY_CLIENT_ID,
            client_secret=well_known.AMPERITY_CLIENT_SECRET,
            base_url=f"{sandbox.url}/amperity",
            token_url=f"{sandbox.url}/amperity/api/v0/oauth2/token",
            max_retries=0,
        )
        asset = build_remote_run_asset(WORKFLOW, key="groups")
        assert materialize([asset], sandbox, instance, resources={"amperity": resource}).success
        assert sandbox.starts("amperity") == 1
        assert entries(instance, "groups") == ["starting", "started"]

    def test_run_that_was_deferred_starts_too(self, sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
        refuse(sandbox, "POST", times=4)
        assert run_profiles(sandbox, instance, wait="defer").success
        assert entries(instance, "features") == ["starting", "started"]


class TestPolls:
    @pytest.mark.covers("wait.outage")
    def test_refused_poll_is_not_retried_at_once(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
        refuse(sandbox, "GET", times=6)
        assert run_profiles(sandbox, instance).success
        polled = [one.received_at for one in sandbox.requests("rudderstack") if one.status == 429]
        assert len(polled) == 6
        assert polled[-1] - polled[0] > 50, "the pauses grow to a minute"

    def test_run_is_polled_less_often_after_refusals(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        def shortest_pause() -> float:
            before = len(sandbox.requests("rudderstack"))
            assert run_profiles(sandbox, instance).success
            polls = [one for one in sandbox.requests("rudderstack")[before:] if one.method == "GET"]
            return min(later.received_at - earlier.received_at for earlier, later in pairwise(polls))

        sandbox.set_behavior(PROFILES.target, [Behavior(running_seconds=300)] * 6)
        for _ in range(5):
            allowed = shortest_pause()
        refuse(sandbox, "POST", times=4)
        assert allowed < 5 < shortest_pause(), "no two polls in a row around the expected end"

    def test_retry_after_of_a_poll_postpones_the_next_one(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        refuse(sandbox, "GET", times=1, retry_after="45")
        assert run_profiles(sandbox, instance).success
        refused, following = [one.received_at for one in sandbox.requests("rudderstack") if one.method == "GET"][:2]
        assert following - refused >= 45

    @pytest.mark.covers("wait.outage")
    @pytest.mark.parametrize(("refusals", "lines"), [(1, 0), (2, 1), (4, 1)])
    def test_single_refusal_is_not_logged_but_an_outage_is(
        self,
        sandbox: Sandbox,
        instance: dg.DagsterInstance,
        clock: SandboxClock,
        capsys: pytest.CaptureFixture[str],
        refusals: int,
        lines: int,
    ) -> None:
        sandbox.set_behavior(PROFILES.target, Behavior(running_seconds=600))
        refuse(sandbox, "GET", times=refusals)
        assert run_profiles(sandbox, instance).success
        logged = capsys.readouterr().err
        assert logged.count("Status check failed for") == lines
        assert logged.count("work again") == lines

    def test_amperity_workflow_is_fetched_with_one_request_while_the_limit_is_exhausted(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        def views() -> list[str | None]:
            return [one.query.get("view") for one in sandbox.requests("amperity") if one.status == 200]

        assert run_workflow(sandbox, instance).success
        *active, last = views()
        assert (set(active), last) == ({None}, "verbose")
        before = len(views())
        refuse(sandbox, "POST", times=3)
        assert run_workflow(sandbox, instance).success
        assert set(views()[before:]) == {"verbose"}

    def test_amperity_workflow_without_details_is_still_reported(
        self, sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
    ) -> None:
        sandbox.add_fault(Fault("status", method="GET", path="workflow/runs/", status=400, skip=1, times=1))
        refuse(sandbox, "POST", times=1)
        assert run_workflow(sandbox, instance).success


def test_resources_of_one_account_share_the_refusals(sandbox: Sandbox, clock: SandboxClock) -> None:
    one, other = (sandbox_resources(sandbox.url)["amperity"].http() for _ in range(2))
    refuse(sandbox, "GET", times=1)
    with one.without_rate_limit_retries(), pytest.raises(Exception, match="429"):
        one.get(["workflow", "runs"])
    assert other.backoff.is_slowed_down
