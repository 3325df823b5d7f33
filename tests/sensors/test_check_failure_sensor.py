"""The check failure sensor: one job for each failed evaluation, with a Dagster run or without one."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from dagster_runs import FailedCheck, build_check_failure_sensor
from dagster_runs.dagster_private import HAS_PARTITIONED_CHECKS, check_spec, evaluation, report_evaluation
from dagster_runs.sandbox import Behavior, Sandbox
from dagster_runs.sensors import limits
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import TESTS, materialize
from tests.sensors.driving import Driver, completion, deferred

pytestmark = pytest.mark.usefixtures("clock")

ORDERS = dg.AssetKey("orders")
FRESH = dg.AssetCheckSpec("fresh", asset="orders")
LETTERS = dg.StaticPartitionsDefinition(["x", "y", "z"])
partitioned_checks = pytest.mark.skipif(not HAS_PARTITIONED_CHECKS, reason="Dagster has no partitioned checks")


@dg.op
def send() -> None: ...


@dg.job
def notify() -> None:
    send()


@dg.asset(check_specs=[FRESH, dg.AssetCheckSpec("complete", asset="orders")])
def orders(context: dg.AssetExecutionContext) -> Iterator[Any]:
    failing = context.run.tags.get("failing", "").split(",")
    severity = dg.AssetCheckSeverity(context.run.tags.get("severity", "ERROR"))
    yield dg.MaterializeResult()
    for name in ("fresh", "complete"):
        yield dg.AssetCheckResult(
            check_name=name, passed=name not in failing, severity=severity, description="why", metadata={"rows": 3}
        )


class Watcher:
    """A check failure sensor whose function records the failed checks."""

    def __init__(self, instance: dg.DagsterInstance, checks: Sequence[Any] = (orders,), **options: Any) -> None:
        self.failed: list[FailedCheck] = []
        self._checks, self._options = checks, options
        self.driver = Driver(self.sensor(), [orders], None, instance, jobs=[notify])

    def sensor(self) -> dg.SensorDefinition:
        return build_check_failure_sensor(self._checks, job=self._record, jobs=[notify], **self._options)

    def _record(self, failed: FailedCheck) -> dg.RunRequest:
        self.failed.append(failed)
        return dg.RunRequest()

    def restart(self) -> None:
        """Continue in a new process."""
        self.driver.sensor = self.sensor()

    @property
    def names(self) -> list[str]:
        return [failed.check_name for failed in self.failed]

    @property
    def launched(self) -> int:
        return len(self.driver.runs)


@pytest.fixture
def watcher(instance: dg.DagsterInstance) -> Watcher:
    """A sensor that has begun."""
    watcher = Watcher(instance)
    watcher.driver.tick()
    return watcher


def run_orders(instance: dg.DagsterInstance, failing: str = "", **tags: str) -> dg.ExecuteInProcessResult:
    return dg.materialize([orders], instance=instance, tags={"failing": failing, **tags})


def report(instance: dg.DagsterInstance, *, passed: bool = False, name: str = "fresh", **fields: Any) -> None:
    """Report an evaluation without a Dagster run."""
    found = dg.AssetCheckEvaluation(asset_key=ORDERS, check_name=name, passed=passed, metadata={}, **fields)
    instance.report_runless_asset_event(found)


@pytest.mark.covers("checks.failed-in-run")
def test_failed_check_of_a_dagster_run_is_described(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    result = run_orders(instance, "fresh")
    watcher.driver.tick()
    [failed] = watcher.failed
    [materialized] = instance.fetch_materializations(ORDERS, limit=1).records
    assert (failed.asset_key, failed.check_name, failed.partition) == (ORDERS, "fresh", None)
    assert failed.check_key == FRESH.key
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    assert (failed.description, failed.metadata["rows"].value) == ("why", 3)
    assert failed.dagster_run_id == result.run_id
    assert failed.materialization_id == materialized.storage_id
    assert watcher.launched == 1


@pytest.mark.covers("checks.failed-without-run")
def test_failed_check_without_a_dagster_run_is_described(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    report(instance, severity=dg.AssetCheckSeverity.WARN)
    watcher.driver.tick()
    [failed] = watcher.failed
    assert (failed.dagster_run_id, failed.materialization_id, failed.severity.value) == (None, None, "WARN")
    assert watcher.launched == 1


def test_job_is_requested_with_tags_that_name_the_check(instance: dg.DagsterInstance) -> None:
    driver = Driver(build_check_failure_sensor([FRESH], job=notify), [orders], None, instance, jobs=[notify])
    driver.tick()
    report(instance)
    report(instance, name="complete")  # is not watched
    driver.tick()
    [run] = driver.runs
    assert run.dagster_run.job_name == "notify"
    assert run.dagster_run.tags["dagster_runs/failed_check"] == "orders:fresh"
    assert run.dagster_run.tags["dagster_runs/severity"] == "ERROR"


@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
def test_each_failure_is_requested_once(
    instance: dg.DagsterInstance, watcher: Watcher, clock: SandboxClock, same_process: bool
) -> None:
    for _ in range(3):
        run_orders(instance, "fresh,complete")
        report(instance)
        for _ in range(2):
            watcher.driver.tick()
            clock.sleep(30)
            if not same_process:
                watcher.restart()
    assert watcher.launched == 9
    for _ in range(5):
        watcher.driver.tick()
        clock.sleep(30)
    assert watcher.launched == 9


def test_passed_checks_request_nothing(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    run_orders(instance)
    report(instance, passed=True)
    watcher.driver.tick()
    assert watcher.failed == []


def test_min_severity_leaves_out_warnings(instance: dg.DagsterInstance) -> None:
    watcher = Watcher(instance, min_severity=dg.AssetCheckSeverity.ERROR)
    watcher.driver.tick()
    run_orders(instance, "fresh", severity="WARN")
    run_orders(instance, "complete")
    watcher.driver.tick()
    assert watcher.names == ["complete"]


@pytest.mark.covers("checks.failed-before")
def test_failures_from_before_the_first_tick_are_ignored(instance: dg.DagsterInstance) -> None:
    run_orders(instance, "fresh")
    report(instance)
    watcher = Watcher(instance)
    for _ in range(3):
        watcher.driver.tick()
    assert watcher.failed == []


class ActiveRun:
    """A Dagster run that has planned the checks of an asset, in the state in which a worker leaves it."""

    def __init__(self, instance: dg.DagsterInstance, asset: dg.AssetsDefinition = orders, **options: Any) -> None:
        self.instance = instance
        job = dg.Definitions(assets=[asset]).resolve_implicit_global_asset_job_def()
        self.run = instance.create_run_for_job(job, asset_selection=frozenset(asset.keys), **options)

    def evaluate(self, name: str, *, passed: bool = False, **fields: Any) -> None:
        """Store an evaluation as a step does."""
        found = dg.AssetCheckEvaluation(asset_key=ORDERS, check_name=name, passed=passed, metadata={}, **fields)
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            job_name=self.run.job_name,
            event_specific_data=found,
        )
        self.instance.report_dagster_event(event, run_id=self.run.run_id)

    def end(self, event_type: str = "PIPELINE_SUCCESS") -> None:
        event = dg.DagsterEvent(event_type_value=event_type, job_name=self.run.job_name)
        self.instance.report_dagster_event(event, run_id=self.run.run_id)


def test_run_that_is_active_at_the_first_tick_is_watched(instance: dg.DagsterInstance) -> None:
    run = ActiveRun(instance)
    run.evaluate("complete")
    watcher = Watcher(instance)
    watcher.driver.tick()
    run.evaluate("fresh")
    watcher.driver.tick()
    assert watcher.names == ["fresh"]


def test_evaluation_of_an_older_plan_is_found(
    instance: dg.DagsterInstance, watcher: Watcher, clock: SandboxClock
) -> None:
    slow = ActiveRun(instance)
    for _ in range(5):
        run_orders(instance)
        watcher.driver.tick()
        clock.sleep(60)
    slow.evaluate("fresh")  # its record is older than five others
    watcher.restart()
    watcher.driver.tick()
    assert [failed.dagster_run_id for failed in watcher.failed] == [slow.run.run_id]


@pytest.mark.covers("checks.failed-twice")
def test_check_that_fails_in_each_attempt_of_a_step_is_requested_each_time(
    instance: dg.DagsterInstance, watcher: Watcher, clock: SandboxClock
) -> None:
    run = ActiveRun(instance)
    watcher.driver.tick()
    run.evaluate("fresh")
    run.evaluate("fresh")
    run.evaluate("fresh", passed=True)  # replaces the record of the others
    run.end()
    for _ in range(4):
        watcher.driver.tick()
        clock.sleep(60)
    assert watcher.names == ["fresh", "fresh"]


@pytest.mark.covers("checks.lost-tick")
@pytest.mark.parametrize("stored", [0, 2])
def test_lost_tick_is_repeated(instance: dg.DagsterInstance, watcher: Watcher, stored: int) -> None:
    run_orders(instance, "fresh,complete")
    report(instance)
    data = watcher.driver.evaluate()
    for request in data.run_requests[:stored]:
        watcher.driver.launch(request)  # the daemon dies before it stores the cursor
    watcher.driver.tick()
    watcher.driver.tick()
    assert watcher.launched == 3


def test_requests_of_a_tick_are_limited(
    instance: dg.DagsterInstance, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_TICK_REQUESTS", 2)
    run_orders(instance, "fresh,complete")
    for _ in range(3):
        report(instance)
    watcher.driver.tick()
    assert watcher.launched == 2
    watcher.restart()
    for _ in range(2):
        watcher.driver.tick()
    assert watcher.launched == 5


def test_function_that_raises_does_not_delay_other_failures(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(failed: FailedCheck) -> dg.RunRequest | None:
        return dg.RunRequest() if failed.check_name == "complete" else None if failed.description else 1 / 0

    sensor = build_check_failure_sensor([orders], job=broken, jobs=[notify])
    driver = Driver(sensor, [orders], None, instance, jobs=[notify])
    driver.tick()
    for name in ("fresh", "complete"):
        report(instance, name=name)
    report(instance, description="why")
    driver.tick()
    assert len(driver.runs) == 1
    assert "failed for the failed check orders:fresh; no run is requested" in capfd.readouterr().err


def test_failures_during_a_pause_of_the_sensor_are_requested_afterwards(
    instance: dg.DagsterInstance, watcher: Watcher, clock: SandboxClock
) -> None:
    watcher.driver.tick()
    clock.sleep(1_000_000)
    for _ in range(12):
        run_orders(instance, "fresh")
    watcher.restart()
    watcher.driver.tick()
    assert watcher.launched == 12


@pytest.mark.parametrize(
    "cursor", ["{}", "[]", "nonsense", '{"begun_at": 1, "read_to": -1, "last_pass": [0, 0], "runs": {}}']
)
def test_unreadable_cursor_begins_again(instance: dg.DagsterInstance, watcher: Watcher, cursor: str) -> None:
    run_orders(instance, "fresh")
    watcher.driver.cursor = cursor
    watcher.driver.tick()
    assert watcher.failed == []
    report(instance)
    watcher.driver.tick()
    assert watcher.names == ["fresh"]


def test_records_that_were_deleted_with_their_asset_hide_no_failure(
    instance: dg.DagsterInstance, watcher: Watcher
) -> None:
    for _ in range(3):
        report(instance, passed=True)
    watcher.driver.tick()
    instance.wipe_assets([ORDERS])
    report(instance)
    watcher.driver.tick()
    assert watcher.names == ["fresh"]


@pytest.mark.parametrize("same_process", [True, False], ids=["same code server", "new code server"])
def test_record_that_becomes_visible_late_is_found(
    instance: dg.DagsterInstance, watcher: Watcher, clock: SandboxClock, same_process: bool
) -> None:
    def move_record(old: int, new: int) -> None:
        with instance.event_log_storage.index_connection() as connection:
            connection.execute(text(f"UPDATE asset_check_executions SET id = {new} WHERE id = {old}"))

    report(instance, passed=True)
    move_record(1, 10)
    watcher.driver.tick()
    report(instance)
    move_record(11, 5)
    for _ in range(4):
        if not same_process:
            watcher.restart()
        watcher.driver.tick()
        clock.sleep(30)
    assert watcher.names == ["fresh"]


def test_deleted_run_is_no_longer_read(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    run = ActiveRun(instance)
    watcher.driver.tick()
    instance.delete_run(run.run.run_id)
    watcher.driver.tick()
    assert run.run.run_id not in watcher.driver.cursor


@partitioned_checks
def test_partition_is_part_of_the_request(instance: dg.DagsterInstance) -> None:
    spec = check_spec("fresh", partitions_def=LETTERS, asset="orders")

    @dg.asset(name="orders", partitions_def=LETTERS, check_specs=[spec])
    def by_letter(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(check_name="fresh", passed=context.partition_key == "z")

    @dg.asset(partitions_def=LETTERS)
    def repaired() -> None: ...

    job = dg.define_asset_job("repair", selection=[repaired])
    driver = Driver(build_check_failure_sensor([by_letter], job=job), [by_letter, repaired], None, instance, jobs=[job])
    driver.tick()
    for letter in ("x", "y", "z"):
        dg.materialize([by_letter], instance=instance, partition_key=letter)
    driver.tick()
    driver.tick()
    assert [run.dagster_run.tags["dagster/partition"] for run in driver.runs] == ["x", "y"]


@pytest.mark.parametrize("partitions", [None, pytest.param(LETTERS, marks=partitioned_checks)])
@pytest.mark.covers("checks.failed-without-run")
def test_failed_check_of_a_deferred_run_is_requested_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitions: Any
) -> None:
    request_failed_checks_of_deferred_runs_once(sandbox, instance, clock, partitions, every=40)


def request_failed_checks_of_deferred_runs_once(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock, partitions: Any, *, every: int
) -> None:
    """Run both sensors for 400 seconds after each of three deferred runs, of which the first and last fail a check."""
    bad = {"passed": 0, "failed": 7, "warning": 0, "error": 0, "log": 0, "dismissed": 0}
    behaviors = [
        Behavior(running_seconds=200, counts=counts) for counts in (bad, {**bad, "passed": 7, "failed": 0}, bad)
    ]
    sandbox.set_behavior(TESTS.target, behaviors)
    asset = deferred(TESTS, partitions_def=partitions)
    watcher = Watcher(instance, [asset])
    watcher.driver.tick()
    driver = completion([asset], sandbox, instance)
    for expected in (1, 1, 2):
        materialize([asset], sandbox, instance, **({"partition_key": "x"} if partitions else {}))
        for _ in range(400 // every):
            watcher.driver.tick()
            driver.tick()
            clock.sleep(every)
        watcher.driver.tick()
        assert watcher.names == ["tests_passed"] * expected


@partitioned_checks
def test_evaluation_that_replaces_the_plan_of_an_ended_run_is_found(
    instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    spec = check_spec("fresh", partitions_def=LETTERS, asset="orders")

    # Like a deferred run: the check is planned, and its result is left to a sensor.
    @dg.multi_asset(
        specs=[dg.AssetSpec("orders")], partitions_def=LETTERS, check_specs=[spec], can_subset=True, name="by_letter"
    )
    def by_letter(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from ()

    watcher = Watcher(instance, [by_letter])
    watcher.driver.tick()
    first = dg.materialize([by_letter], instance=instance, partition_key="x").dagster_run
    for _ in range(5):
        watcher.driver.tick()
        clock.sleep(30)
    dg.materialize([by_letter], instance=instance, partition_key="y")
    watcher.driver.tick()
    assert "has_open_plan" in watcher.driver.cursor
    watcher.restart()
    report_evaluation(instance, evaluation(spec, judged=None, partition="x", passed=False), first)
    watcher.driver.tick()
    assert [(failed.partition, failed.dagster_run_id) for failed in watcher.failed] == [("x", first.run_id)]
    for _ in range(20):
        watcher.driver.tick()
        clock.sleep(limits.PLAN_MAX_AGE / 10)
    assert watcher.launched == 1
    assert "has_open_plan" not in watcher.driver.cursor


class TestArguments:
    def test_checks_are_keys_specs_checks_or_assets(self) -> None:
        @dg.asset_check(asset="other")
        def positive() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        sensor = build_check_failure_sensor([FRESH.key, FRESH, positive, orders], job=notify, name="n")
        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED

    @pytest.mark.parametrize(
        ("checks", "message"),
        [
            ([], "checks is empty"),
            ("orders", "must be a list of checks"),
            (FRESH, "must be a list of checks"),
            (["orders"], "checks contains 'orders'; each must be an AssetCheckKey"),
            ([dg.AssetKey("orders")], "each must be an AssetCheckKey"),
        ],
    )
    def test_other_checks_are_refused(self, checks: Any, message: str) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
            build_check_failure_sensor(checks, job=notify)

    def test_asset_without_checks_is_refused(self) -> None:
        @dg.asset
        def plain() -> None: ...

        with pytest.raises(dg.DagsterInvalidDefinitionError, match="the asset plain, whose definition has no checks"):
            build_check_failure_sensor([plain], job=notify)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"job": "notify"}, "neither a job nor a function"),
            ({"job": None}, "neither a job nor a function"),
            ({"job": lambda failed: None}, "job is a function, so jobs must contain"),
            ({"job": notify, "jobs": ["notify"]}, "which is not a job"),
            ({"job": notify, "min_severity": "ERROR"}, "min_severity is 'ERROR'"),
        ],
    )
    def test_other_options_are_refused(self, options: Any, message: str) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
            build_check_failure_sensor([FRESH], **options)

    def test_check_that_is_not_declared_here_is_logged_once(
        self, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
    ) -> None:
        watcher = Watcher(instance, [dg.AssetCheckKey(ORDERS, "frsh"), FRESH])
        for _ in range(2):
            watcher.driver.tick()
        assert capfd.readouterr().err.count("orders:frsh: not a check of this code location") == 1


def test_sensor_works_with_storage_on_disk(clock: SandboxClock) -> None:
    with dg.instance_for_test() as instance:
        watcher = Watcher(instance)
        watcher.driver.tick()
        run_orders(instance, "fresh")
        report(instance, name="complete")
        for _ in range(2):
            watcher.driver.tick()
            watcher.restart()
            clock.sleep(30)
        assert sorted(watcher.names[:2]) == ["complete", "fresh"]
        assert watcher.launched == 2


def test_idle_tick_with_500_checks_makes_one_query_for_all(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [dg.AssetCheckKey(dg.AssetKey(f"a{number}"), "c") for number in range(500)]
    for check in checks[:50]:
        found = dg.AssetCheckEvaluation(asset_key=check.asset_key, check_name="c", passed=False, metadata={})
        instance.report_runless_asset_event(found)
    watcher = Watcher(instance, checks)
    watcher.driver.tick()
    queries: list[str] = []
    storage = type(instance.event_log_storage)
    for name in ("get_latest_asset_check_execution_by_key", "get_asset_check_execution_history"):
        original = getattr(storage, name)

        def counted(self: Any, *args: Any, name: str = name, original: Any = original, **named: Any) -> Any:
            queries.append(name)
            return original(self, *args, **named)

        monkeypatch.setattr(storage, name, counted)
    watcher.driver.tick()
    assert queries == ["get_latest_asset_check_execution_by_key"]
