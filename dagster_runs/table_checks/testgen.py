"""`build_testgen_checks`, which reports the results of a TestGen test suite as checks on your own tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTest
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike
from dagster_runs.remote_run.options import OnConflict, OnInFlight, OnTimeout, OnUncertainStart, RunOptions, Wait
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.wrong_calls import explain_wrong_call
from dagster_runs.table_checks.builder import SuiteSettings, TableChecks, build_suite_checks, shown_by
from dagster_runs.table_checks.check_names import Granularity
from dagster_runs.table_checks.declared import Unmapped, Wanted
from dagster_runs.table_checks.outcomes import checked_severity
from dagster_runs.table_checks.suite_report import SuiteReport
from dagster_runs.table_checks.table_keys import KeysLike
from dagster_runs.vendors.testgen import TestGenTestRun
from dagster_runs.vendors.testgen.lists.suite_run import TestGenSuiteRun

_PREFIX = "testgen"


@explain_wrong_call
def build_testgen_checks(
    run: TestGenTestRun,
    *,
    tables: KeysLike,
    known_tests: Sequence[SuiteTest] | None = None,
    granularity: Granularity = "table",
    granularity_by_table: Mapping[str, Granularity] | None = None,
    severity: Mapping[str, str] | None = None,
    blocking: bool = False,
    blocking_tables: Sequence[str] = (),
    unmapped: Unmapped = "warn",
    max_checks: int = 500,
    name: str | None = None,
    key: AssetKeyLike | None = None,
    group_name: str | None = None,
    spec: dg.AssetSpec | None = None,
    resource_key: str | None = None,
    wait: Wait = "poll",
    backfill_wait: Wait = "poll",
    on_in_flight: OnInFlight | None = None,
    max_in_flight: int | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    on_timeout: OnTimeout = "leave",
    on_uncertain_start: OnUncertainStart = "fail",
    on_conflict: OnConflict = "wait",
    gate: QualityGate | None = None,
) -> TableChecks:
    """Builds asset checks on the tables that a TestGen test suite tests.

    One op executes all of them with one run of the suite, whichever are selected. The check ``testgen__tests`` of a
    table has all its tests. A result counts only for data that the run has seen: if a table was materialized again
    after the run had started, its checks are not evaluated. They are not evaluated either if the suite has no result
    for them. The log and the asset that shows the suite's runs name such checks. If the run itself fails, no check is
    evaluated, and the step fails.

    Listing the results of single tests needs TestGen 5.70 or later.

    Args:
        run: The run of the suite.
        tables: Finds the asset of each table: `TableKeys`; a mapping such as ``{"sales.orders": "stg_orders"}``; a
            function from a `SuiteTable` to an asset key; or a list of these, of which the first that knows a table
            decides.
        known_tests: What the suite tests. Needed for other granularities than ``"table"``, and if ``tables`` does not
            say which tables there are. A test that is added to the suite later is part of the check of its table.
        granularity: What has a check of its own, in addition to each table: ``"column"``, ``"test_type"`` or
            ``"test"``.
        granularity_by_table: The same for single tables: ``{"orders": "test"}``.
        severity: The severity of results that do not pass. Defaults to
            ``{"failed": "ERROR", "error": "ERROR", "warning": "WARN"}``, where ``error`` is a broken test.
        blocking: Whether a check that fails with ERROR holds back what is downstream. In one Dagster run, it holds back
            what is downstream of all tables of the suite. Refused if a table is upstream of another one, or in another
            code location.
        blocking_tables: The tables whose checks block, in place of ``blocking``.
        unmapped: What happens if the suite has results of tables that are in no check: ``"warn"``, ``"fail"`` the step
            after its report, or ``"ignore"``.
        max_checks: The maximum number of checks. If there would be more, each table has only ``testgen__tests``.
        name: The name of the op. Defaults to ``testgen_`` and the first characters of the suite's id.
        key: The key of the asset that shows the suite's runs. Defaults to ``["testgen", name]``.
        group_name: The group of that asset.
        spec: That asset, in place of ``key`` and ``group_name``, if it needs more than these. It always depends on the
            assets of the tables.
        resource_key: The resource's key. Defaults to ``testgen``.
        wait: With ``"poll"``, the step polls the run until it finishes. With ``"defer"``, it ends once it has started
            the run, and a sensor from `build_completion_sensor` reports all declared checks later.
        backfill_wait: The same for the steps of a backfill.
        on_in_flight: See `build_remote_run_asset`.
        max_in_flight: See `build_remote_run_asset`.
        retry_policy: The retry policy of the op. A retry attaches to a run that is still active.
        pool: The pool of the op.
        op_tags: The tags of the op.
        timeout: The timeout in seconds after the start. Defaults to a day.
        on_timeout: See `build_remote_run_asset`.
        on_uncertain_start: See `build_remote_run_asset`.
        on_conflict: See `build_remote_run_asset`.
        gate: Judges each run of the suite, with the checks ``tests_passed``, ``quality_score`` and ``run_status`` on
            the asset that shows the suite's runs. If it blocks, they hold back what is downstream of that asset.

    Returns:
        An object with the definitions (``.definitions()``), and the checks alone (``.checks``).

    Raises:
        DagsterInvalidDefinitionError: The arguments are invalid or do not fit together, two assets have one table, or
            the tables are not known. The message says which and why.
    """
    if not isinstance(run, TestGenTestRun):
        raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a TestGenTestRun(...)")
    short = run.test_suite_id.replace("-", "")[:8]
    own_name = name or f"{_PREFIX}_{short}"
    wanted = Wanted(
        suite=f"test suite {run.test_suite_id}",
        vendor=run.vendor,
        prefix=_PREFIX,
        granularity=granularity,
        granularity_by_table=granularity_by_table or {},
        blocking=blocking,
        blocking_tables=blocking_tables,
        unmapped=unmapped,
        max_checks=max_checks,
    )
    options = RunOptions(
        gate=gate,
        timeout=timeout,
        on_timeout=on_timeout,
        on_uncertain_start=on_uncertain_start,
        on_conflict=on_conflict,
        wait=wait,
        backfill_wait=backfill_wait,
        on_in_flight=on_in_flight,
        max_in_flight=max_in_flight,
    )
    settings = SuiteSettings(
        name=own_name,
        spec=shown_by(key, own_name, group_name, prefix=_PREFIX, spec=spec),
        resource_key=resource_key or run.resource_key,
        retry_policy=retry_policy,
        pool=pool,
        op_tags=op_tags,
    )
    return build_suite_checks(
        run,
        TestGenSuiteRun,
        tables=tables,
        known_tests=known_tests,
        severity=checked_severity(severity),
        report=SuiteReport,
        wanted=wanted,
        options=options,
        settings=settings,
    )
