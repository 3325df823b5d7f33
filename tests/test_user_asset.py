"""`run()` in a user-defined asset: it checks its arguments when called, and unused events fail the step."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from dagster_runs import (
    QualityGate,
    RudderStackProfilesRun,
    RudderStackResource,
    TestGenResource,
    TestGenTestRun,
)
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import PROFILES, TESTS, checks, failure, materialize, metadata, resources_at

pytestmark = pytest.mark.usefixtures("clock")
fixes = pytest.mark.fixes("6.4")
BAD = TestGenTestRun(test_suite_id=well_known.SUITE_ORDERS)
Context = dg.AssetExecutionContext


def errors_logged(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    """Returns the ERROR lines of the run's log that are not Dagster events."""
    entries = instance.all_logs(result.run_id)
    return "\n".join(entry.user_message for entry in entries if entry.level == 40 and not entry.is_dagster_event)


@dg.asset(name="mine")
def statement(context: Context, testgen: TestGenResource) -> None:
    testgen.run(context, TESTS)


@dg.asset(name="mine")
def assigned(context: Context, testgen: TestGenResource) -> None:
    events = testgen.run(context, TESTS)
    assert events is not None


@dg.asset(name="mine")
def in_a_generator(context: Context, testgen: TestGenResource) -> Iterator[Any]:
    testgen.run(context, TESTS)
    yield from ()


@dg.asset(name="mine")
async def asynchronous(context: Context, testgen: TestGenResource) -> None:
    testgen.run(context, TESTS)


@dg.asset(name="mine")
def with_a_value(context: Context, testgen: TestGenResource) -> int:
    testgen.run(context, TESTS)
    return 5


@dg.asset(name="mine", output_required=False)
def optional(context: Context, testgen: TestGenResource) -> None:
    testgen.run(context, TESTS)


@dg.multi_asset(specs=[dg.AssetSpec("mine"), dg.AssetSpec("other", skippable=True)])
def next_to_a_skippable_asset(context: Context, testgen: TestGenResource) -> dg.MaterializeResult:
    testgen.run(context, TESTS, assets=[dg.AssetKey("mine")])


@fixes
@pytest.mark.parametrize(
    "asset",
    [statement, assigned, in_a_generator, asynchronous, with_a_value, optional, next_to_a_skippable_asset],
    ids=lambda asset: asset.op.compute_fn.decorated_fn.__name__,
)
@pytest.mark.covers("start.unused-events")
def test_unused_events_fail_the_step(
    asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = materialize([asset], sandbox, instance)
    assert not result.success
    assert not result.get_asset_materialization_events()
    assert sandbox.starts("testgen") == 0
    logged = errors_logged(instance, result)
    assert "The events of `run()` were not used" in logged
    assert "yield from testgen.run(context, ...)" in logged
    assert "nothing was started here" in logged


@fixes
def test_unused_events_error_shows_the_correct_call(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    message = failure(materialize([statement], sandbox, instance))
    assert "`yield from testgen.run(context, ...)` or `return testgen.run(context, ...)`" in message


@fixes
def test_unused_events_fail_the_step_while_a_reference_exists(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    kept = []

    @dg.asset
    def mine(context: Context, testgen: TestGenResource) -> None:
        kept.append(testgen.run(context, TESTS))

    assert "Pass all events of `run()` on to Dagster" in failure(materialize([mine], sandbox, instance))
    assert sandbox.starts("testgen") == 0


@fixes
@pytest.mark.covers("start.unused-events")
def test_events_read_but_not_yielded_fail_the_step(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def mine(context: Context, testgen: TestGenResource) -> None:
        list(testgen.run(context, TESTS))

    result = materialize([mine], sandbox, instance)
    assert "its result is not reported" in failure(result)
    assert not result.get_asset_materialization_events()


@fixes
@pytest.mark.covers("start.unused-events")
def test_partially_read_events_fail_the_step(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def both(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        for event in testgen.run(context, TESTS):
            yield event
            break

    result = materialize([both], sandbox, instance)
    assert "expected outputs {'two'}" in failure(result)
    assert "is not reported in full" in errors_logged(instance, result)


def test_reading_only_the_first_event_does_not_hide_a_failed_run(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("run_status", asset="mine")])
    def mine(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield next(testgen.run(context, TestGenTestRun(test_suite_id=well_known.SUITE_DOWN)))

    result = materialize([mine], sandbox, instance)
    assert not result.success
    assert not result.get_asset_materialization_events()


@fixes
@pytest.mark.covers("start.unused-second-run")
def test_unused_second_run_logs_an_error(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    # The asset has its result, so Dagster reports nothing as missing.
    @dg.asset
    def mine(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, TESTS, name="first")
        testgen.run(context, BAD, name="second")

    result = materialize([mine], sandbox, instance)
    assert sandbox.starts("testgen") == 1
    assert "The events of `run()` were not used" in errors_logged(instance, result)


@dg.asset(name="mine")
def returned(context: Context, testgen: TestGenResource) -> Any:
    return testgen.run(context, TESTS)


@dg.asset(name="mine")
async def returned_by_async(context: Context, testgen: TestGenResource) -> Any:
    return testgen.run(context, TESTS)


@dg.asset(name="mine")
async def yielded_by_async(context: Context, testgen: TestGenResource) -> Any:
    for event in testgen.run(context, TESTS):
        yield event


@dg.asset(name="mine")
def only_one(context: Context, testgen: TestGenResource) -> Any:
    return next(testgen.run(context, TESTS))


@dg.asset(name="mine")
def value_and_metadata(context: Context, testgen: TestGenResource) -> Any:
    [event] = testgen.run(context, TESTS)
    yield dg.Output(5, metadata=event.metadata)


@pytest.mark.parametrize(
    "asset",
    [returned, returned_by_async, yielded_by_async, only_one, value_and_metadata],
    ids=lambda asset: asset.op.compute_fn.decorated_fn.__name__,
)
def test_returned_or_yielded_events_reach_dagster(
    asset: dg.AssetsDefinition, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = materialize([asset], sandbox, instance)
    assert result.success
    assert metadata(instance, "mine")["testgen/score"] == 1.0
    assert sandbox.starts("testgen") == 1
    assert errors_logged(instance, result) == ""


def test_step_may_skip_an_asset_that_its_run_does_not_materialize(
    sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two", skippable=True)])
    def both(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, TESTS, assets=[dg.AssetKey("one")])

    assert materialize([both], sandbox, instance).success
    assert not instance.fetch_materializations(dg.AssetKey("two"), limit=1).records


def call(
    sandbox: Sandbox, instance: dg.DagsterInstance, calls: Callable[..., Any], **asset: Any
) -> dg.ExecuteInProcessResult:
    """Materializes an asset that calls `run()` and ignores the returned events."""

    @dg.asset(**{"name": "mine", **asset})
    def mine(context: Context, testgen: TestGenResource, rudderstack: RudderStackResource) -> dg.MaterializeResult:
        calls(context, testgen, rudderstack)

    return materialize([mine], sandbox, instance)


@fixes
@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (lambda c, t, r: r.run(c, PROFILES, on_timeout="cancel"), "no way to cancel"),
        (lambda c, t, r: r.run(c, PROFILES, gate=QualityGate()), "does not support a QualityGate"),
        (lambda c, t, r: t.run(c, TESTS, on_conflict="attach"), "'wait' or 'fail'"),
        (lambda c, t, r: t.run(c, TESTS, timeout="60"), "greater than 0"),
        (lambda c, t, r: t.run(c, TESTS, gate={"min_score": 0.9}), "must be a QualityGate"),
        (lambda c, t, r: t.run(TESTS, c), "pass the asset's own context"),
        (lambda c, t, r: t.run(c, TestGenTestRun), r"`TestGenTestRun\(...\)`"),
        (lambda c, t, r: t.run(c, "8a4f"), "run is a str; pass a run"),
        (lambda c, t, r: t.run(c, PROFILES), "needs a RudderStack resource, but got one of TestGen"),
        (lambda c, t, r: t.run(c, TESTS, assets=["other"]), "names other, but this step materializes only mine"),
        (lambda c, t, r: t.run(c, TESTS, assets=[]), "assets is empty"),
        (lambda c, t, r: t.run(c, TESTS, assets="mine"), "must be a list of asset keys"),
        (lambda c, t, r: t.run(c, TESTS, assets=dg.AssetKey("mine")), "must be a list of asset keys"),
        (lambda c, t, r: t.run(c, TESTS, assets=[7]), "an asset key is a string"),
        (
            lambda c, t, r: r.run(c, PROFILES.with_fields({"parameters": ["--from {window_start}"]})),
            "no partitions by time",
        ),
    ],
)
@pytest.mark.covers("start.bad-arguments")
def test_invalid_arguments_fail_the_step_without_a_start(
    calls: Callable[..., Any], message: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = call(sandbox, instance, calls, retry_policy=dg.RetryPolicy(max_retries=2))
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(failure(result))
    assert "Nothing was started" in failure(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert sandbox.starts("testgen") == sandbox.starts("rudderstack") == 0


@fixes
def test_run_called_outside_an_asset_raises(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset
    def mine() -> None: ...

    @dg.asset_check(asset=mine)
    def check(context: dg.AssetCheckExecutionContext, testgen: TestGenResource) -> dg.AssetCheckResult:
        testgen.run(context, TESTS, assets=["mine"])
        return dg.AssetCheckResult(passed=True)

    defs = dg.Definitions(assets=[mine], asset_checks=[check], resources=resources_at(sandbox.url))
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, raise_on_error=False)
    assert "call run() inside an asset" in failure(result)
    assert sandbox.starts("testgen") == 0


@fixes
def test_assets_argument_accepts_any_key_format(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec(["marts", "two"])])
    def both(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, TESTS, assets=["one"], name="a")
        yield from testgen.run(context, TESTS, assets=[["marts", "two"]], name="b")

    assert materialize([both], sandbox, instance).success
    assert sandbox.starts("testgen") == 2


@fixes
def test_run_rejects_an_asset_that_is_not_selected(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")], can_subset=True)
    def both(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, TESTS, assets=[dg.AssetKey("one"), dg.AssetKey("two")])

    message = failure(materialize([both], sandbox, instance, selection=["one"]))
    assert "call `run()` only for keys in context.selected_asset_keys" in message
    assert sandbox.starts("testgen") == 0


GATE = QualityGate(min_score=0.95, blocking=True)


@fixes
@pytest.mark.parametrize("given", [TestGenTestRun, BAD], ids=["class", "run"])
def test_failed_declared_check_blocks_downstream_assets(
    given: Any, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    @dg.asset(check_specs=TestGenResource.check_specs(given, "orders", GATE))
    def orders(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, BAD, gate=GATE)

    @dg.asset(deps=[orders])
    def report() -> None: ...

    result = materialize([orders, report], sandbox, instance)
    assert not result.success
    assert set(checks(result)) == {"run_status", "tests_passed", "quality_score"}
    assert [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()] == ["orders"]


@fixes
def test_check_specs_from_an_instance_and_from_other_vendors() -> None:
    testgen = TestGenResource(base_url="http://127.0.0.1:1", access_token="t")
    specs = testgen.check_specs(TESTS, ["marts", "orders"], GATE)
    assert {(spec.name, spec.blocking) for spec in specs} == {
        ("run_status", False),
        ("tests_passed", True),
        ("quality_score", True),
    }
    assert {spec.asset_key for spec in specs} == {dg.AssetKey(["marts", "orders"])}
    assert [spec.name for spec in RudderStackResource.check_specs(PROFILES, dg.AssetKey("a"))] == ["run_status"]


@fixes
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RudderStackProfilesRun, "a"), "TestGenResource cannot run a RudderStackProfilesRun"),
        (("8a4f", "a"), "must be a run"),
        ((TESTS, ""), "an asset key is a string"),
        ((TESTS, "marts/orders"), r"\['marts', 'orders'\]"),
        ((TESTS, "a", 0.9), "must be a QualityGate"),
    ],
)
def test_check_specs_rejects_invalid_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=message):
        TestGenResource.check_specs(*arguments)


@fixes
@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ([], "does not declare tests_passed, quality_score"),
        ([dg.AssetCheckSpec("tests_passed", asset="mine", blocking=True)], "does not declare quality_score"),
        (
            [dg.AssetCheckSpec(name, asset="mine") for name in ("tests_passed", "quality_score")],
            "declares tests_passed, quality_score without `blocking=True`",
        ),
    ],
)
@pytest.mark.covers("start.undeclared-gate")
def test_gate_without_its_check_specs_is_rejected(
    declared: list[dg.AssetCheckSpec], message: str, sandbox: Sandbox, instance: dg.DagsterInstance
) -> None:
    result = call(sandbox, instance, lambda c, t, r: t.run(c, BAD, gate=GATE), check_specs=declared)
    assert message in failure(result)
    line = 'TestGenResource.check_specs(TestGenTestRun, "mine", QualityGate(min_score=0.95, blocking=True))'
    assert line in failure(result)
    assert sandbox.starts("testgen") == 0


@fixes
def test_gate_is_accepted_when_its_checks_are_not_selected(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    specs = TestGenResource.check_specs(BAD, "orders", GATE)

    @dg.multi_asset(specs=[dg.AssetSpec("orders")], check_specs=specs, can_subset=True)
    def orders(context: Context, testgen: TestGenResource) -> Iterator[Any]:
        yield from testgen.run(context, BAD, gate=GATE)

    selection = dg.AssetSelection.assets("orders").without_checks()
    result = materialize([orders], sandbox, instance, selection=selection)
    assert result.success
    assert checks(result) == {}
