"""`build_testgen_profile`, which shows on your own tables what a TestGen profiling run found out about them."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.remote_run.execution.user_asset import AssetKeyLike
from dagster_runs.remote_run.options import OnConflict, OnInFlight, OnTimeout, OnUncertainStart, RunOptions, Wait
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.wrong_calls import explain_wrong_call
from dagster_runs.table_checks.builder import SuiteSettings, TableChecks, build_suite_checks, shown_by
from dagster_runs.table_checks.declared import PROFILE_CHECK, Unmapped, Wanted
from dagster_runs.table_checks.outcomes import checked_severity
from dagster_runs.table_checks.profile_outcomes import DEFAULT_SEVERITY
from dagster_runs.table_checks.profile_report import ProfileReport
from dagster_runs.table_checks.table_keys import KeysLike
from dagster_runs.vendors.testgen import TestGenProfilingRun
from dagster_runs.vendors.testgen.lists.profiles_run import TestGenProfilesRun

_PREFIX = "testgen"


@explain_wrong_call
def build_testgen_profile(
    run: TestGenProfilingRun,
    *,
    tables: KeysLike,
    known_tables: Sequence[SuiteTable] | None = None,
    severity: Mapping[str, str] | None = None,
    blocking: bool = False,
    blocking_tables: Sequence[str] = (),
    unmapped: Unmapped = "warn",
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
    """Builds the check ``testgen__hygiene_issues`` on the tables that a TestGen profiling run profiles.

    One op executes all of them with one profiling run, whichever are selected. With the evaluation of its check, a
    table's asset gets an observation with its ``dagster/row_count`` and ``dagster/column_schema``, where columns with
    PII and critical columns have tags. The table is never materialized. A profile counts only for data that the run
    has seen: if a table was materialized again after the run had started, it gets neither. The same is true for a table
    that the run did not profile. The log and the asset that shows the profiling runs name such tables.

    Listing columns and issues needs TestGen 5.92 or later.

    Args:
        run: The profiling run of a table group.
        tables: Finds the asset of each table; see `build_testgen_checks`.
        known_tables: The tables that are profiled, if ``tables`` does not say which tables there are.
        severity: The severity of issues. Defaults to ``{"definite": "ERROR", "likely": "WARN"}``. Possible issues and
            potential PII do not fail the check.
        blocking: See `build_testgen_checks`.
        blocking_tables: See `build_testgen_checks`.
        unmapped: What happens if the run profiles tables that have no check: ``"warn"``, ``"fail"`` the step after its
            report, or ``"ignore"``.
        name: The name of the op. Defaults to ``testgen_profile_`` and the first characters of the table group's id.
        key: The key of the asset that shows the profiling runs. Defaults to ``["testgen", name]``.
        group_name: The group of that asset.
        spec: That asset, in place of ``key`` and ``group_name``; see `build_testgen_checks`.
        resource_key: The resource's key. Defaults to ``testgen``.
        wait: With ``"poll"``, the step polls the run until it finishes. With ``"defer"``, it ends once it has started
            the run, and a sensor from `build_completion_sensor` reports all tables later.
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
        gate: Judges each profiling run, with the checks ``hygiene_issues``, ``quality_score`` and ``run_status`` on
            the asset that shows the profiling runs. If it blocks, they hold back what is downstream of that asset.

    Returns:
        An object with the definitions (``.definitions()``), and the checks alone (``.checks``).

    Raises:
        DagsterInvalidDefinitionError: The arguments are invalid or do not fit together, two assets have one table, or
            the tables are not known. The message says which and why.
    """
    if not isinstance(run, TestGenProfilingRun):
        raise dg.DagsterInvalidDefinitionError(f"run is {run!r}; it must be a TestGenProfilingRun(...)")
    own_name = name or f"{_PREFIX}_profile_{run.table_group_id.replace('-', '')[:8]}"
    wanted = Wanted(
        suite=f"profiling of table group {run.table_group_id}",
        vendor=run.vendor,
        prefix=_PREFIX,
        blocking=blocking,
        blocking_tables=blocking_tables,
        unmapped=unmapped,
        table_check=PROFILE_CHECK,
        table_check_asks="Whether the {suite} at {vendor} found no definite or likely issues in the table {tables}.",
        known="known_tables=[SuiteTable('orders', 'sales'), ...]",
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
        TestGenProfilesRun,
        tables=tables,
        known_tests=_as_tests(known_tables),
        severity=checked_severity(severity, DEFAULT_SEVERITY),
        report=ProfileReport,
        wanted=wanted,
        options=options,
        settings=settings,
    )


def _as_tests(known_tables: Sequence[SuiteTable] | None) -> list[SuiteTest] | None:
    for one in known_tables or ():
        if not isinstance(one, SuiteTable):
            raise dg.DagsterInvalidDefinitionError(f"known_tables contains {one!r}; each must be a SuiteTable")
    return None if known_tables is None else [SuiteTest(one.name, one.schema) for one in known_tables]
