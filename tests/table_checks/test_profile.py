"""Profiling results on the user's own tables, in a step that waits for the run."""

from functools import partial
from typing import Any

import dagster as dg
import pytest

from dagster_runs import QualityGate, SuiteTable, TableChecks, TableKeys, build_testgen_profile
from dagster_runs.sandbox import Fault, Sandbox
from dagster_runs.table_checks.freshness import STARTED_BEFORE
from dagster_runs.table_checks.profile_outcomes import NOT_COUNTED, NOT_PROFILED
from tests.remote_run.materializing import failure
from tests.remote_run.reexecuting import at_pause, dies, reexecute
from tests.table_checks.profiles import (
    PROFILE_KEY,
    RUN,
    add_group,
    column,
    issue,
    key,
    observations,
    outcomes,
    run_metadata,
)
from tests.table_checks.suites import evaluated, execute, job_of, load, materialization_id, materialize, rows, table

pytestmark = pytest.mark.usefixtures("clock")
TABLES = [table("orders"), table("customers")]
BOTH = [key("orders"), key("customers")]
COLUMNS = [
    column("orders", "order_id", 8_640, general_type="numeric"),
    column("orders", "status", 8_640),
    column("customers", "customer_id", 240),
    column("customers", "email", 240, pii_flag="high"),
]


def build(**options: Any) -> TableChecks:
    return build_testgen_profile(RUN, **{"tables": TableKeys.from_assets(TABLES), **options})


def schema(metadata: Any) -> dict[str, tuple[str, dict[str, str]]]:
    columns = metadata["dagster/column_schema"].schema.columns
    return {one.name: (one.type, dict(one.tags)) for one in columns}


@pytest.mark.covers(
    "tables.profile",
    "testgen.endpoint.profiled-columns",
    "testgen.endpoint.hygiene-issues",
    "testgen.field.columns-items",
    "testgen.field.columns-table",
    "testgen.field.columns-type",
    "testgen.field.columns-flags",
    "testgen.field.columns-record-ct",
    "testgen.field.columns-potential-pii",
    "testgen.field.hygiene-issues-items",
    "testgen.field.hygiene-issues-table",
    "testgen.field.hygiene-issues-likelihood",
    "testgen.field.hygiene-issues-shown",
)
def test_each_table_gets_an_observation_and_a_check(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    pii = [{"table_name": "customers", "column_name": "email", "pii_risk": "moderate"}]
    add_group(sandbox, COLUMNS, [issue("orders", name="status"), issue("customers", "possible")], pii)
    assert execute(load(sandbox, build(), assets=TABLES), instance).success
    assert sandbox.starts("testgen") == 1
    assert outcomes(instance, "orders", "customers") == {"orders": "ERROR", "customers": True}
    [observed] = observations(instance, "customers")
    assert observed.metadata["dagster/row_count"].value == 240
    assert schema(observed.metadata) == {
        "customer_id": ("character varying(50)", {"testgen/critical_data_element": "true"}),
        "email": ("character varying(50)", {"testgen/pii": "high"}),
    }
    [run] = sandbox.runs("testgen")
    assert observed.metadata["dagster_runs/run_id"].value == run.id
    assert run.id in str(observed.metadata["dagster_runs/url"].value)
    assert schema(observations(instance, "orders")[0].metadata)["order_id"][0] == "integer"
    [orders] = evaluated(instance, key("orders"))
    assert orders.description == "1 definite, 0 likely, 0 possible issues"
    assert orders.target_materialization_data is not None
    assert orders.target_materialization_data.storage_id == materialization_id(instance, "orders")
    [found] = rows(orders.metadata, "testgen/hygiene_issues")
    assert (found["likelihood"], found["column"], found["issue"]) == ("definite", "status", "Non-Standard Blank Values")
    [customers] = evaluated(instance, key("customers"))
    assert rows(customers.metadata, "testgen/pii") == [{"column": "email", "flag": "high", "potential_pii": "moderate"}]


def test_only_the_asset_of_the_runs_is_materialized(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, [issue("orders", "likely")])
    assert execute(load(sandbox, build(), assets=TABLES), instance, checks=BOTH).success
    assert outcomes(instance, "orders") == {"orders": "WARN"}
    for name in ("orders", "customers"):
        assert len(observations(instance, name)) == 1
        assert not instance.fetch_materializations(dg.AssetKey(name), limit=1).records
    shown = run_metadata(instance)
    assert shown["testgen/table_count"].value == 2
    assert rows(shown, "testgen/hygiene_issues")[0]["table"] == "demo.orders"


def test_observation_is_no_new_data_for_downstream_assets(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.asset(deps=["orders"], automation_condition=dg.AutomationCondition.eager())
    def report() -> None: ...

    add_group(sandbox, COLUMNS)
    defs = load(sandbox, build(), assets=[*TABLES, report])
    execute(defs, instance, assets=["orders", "report"])
    first = dg.evaluate_automation_conditions(defs, instance)
    execute(defs, instance, checks=[key("orders")])
    assert len(observations(instance, "orders")) == 1
    assert dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor).total_requested == 0


def test_observable_source_asset_keeps_its_data_version(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    @dg.observable_source_asset(metadata={"dagster/table_name": "demo.orders"})
    def source() -> dg.DataVersion:
        return dg.DataVersion("v1")

    @dg.asset(deps=[source], automation_condition=dg.AutomationCondition.eager())
    def report() -> None: ...

    add_group(sandbox, COLUMNS)
    profile = build_testgen_profile(RUN, tables={"demo.orders": "source"}, unmapped="ignore")
    defs = load(sandbox, profile, assets=[source, report])
    observed = dg.AssetObservation("source", tags={"dagster/data_version": "v1"})
    instance.report_runless_asset_event(observed)
    execute(defs, instance, assets=["report"])
    first = dg.evaluate_automation_conditions(defs, instance)
    execute(defs, instance, checks=[key("source")])
    assert [one.tags for one in observations(instance, "source")] == [observed.tags, observed.tags]
    assert dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor).total_requested == 0


@pytest.mark.covers("tables.profile-subset")
def test_one_profiling_run_reports_only_what_is_selected(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS)
    assert execute(load(sandbox, build(), assets=TABLES), instance, checks=[key("customers")]).success
    assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
    assert observations(instance, "orders") == []
    assert sandbox.starts("testgen") == 1


@pytest.mark.covers("tables.profile-not-profiled")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([], NOT_PROFILED),
        ([column("customers", rows=None)], NOT_COUNTED),
        ([column("customers", rows=-1)], NOT_COUNTED),
    ],
    ids=["not listed", "no number of rows", "an impossible number of rows"],
)
def test_table_that_was_not_profiled_is_named_and_not_tested(
    sandbox: Sandbox, instance: dg.DagsterInstance, more: list[dict[str, Any]], why: str
) -> None:
    add_group(sandbox, [*COLUMNS[:2], *more])
    assert execute(load(sandbox, build(), assets=TABLES), instance).success
    assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": None}
    assert observations(instance, "customers") == []
    [row] = rows(run_metadata(instance), "testgen/not_tested")
    assert row["check"] == "customers"
    assert str(row["why"]).startswith(why)


def test_issue_of_a_table_without_columns_still_fails(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS[:2], [issue("customers"), issue("(several tables)")])
    assert execute(load(sandbox, build(unmapped="fail"), assets=TABLES), instance).success
    assert outcomes(instance, "customers") == {"customers": "ERROR"}
    assert len(rows(run_metadata(instance), "testgen/hygiene_issues")) == 2


def test_issue_of_an_unknown_likelihood_counts_as_likely(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, [issue("orders", None)])
    execute(load(sandbox, build(), assets=TABLES), instance)
    assert outcomes(instance, "orders", "customers") == {"orders": "WARN", "customers": True}


def test_severity_of_issues_can_be_changed(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, [issue("orders")])
    execute(load(sandbox, build(severity={"definite": "WARN"}), assets=TABLES), instance)
    assert outcomes(instance, "orders") == {"orders": "WARN"}
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="severity has possible"):
        build(severity={"possible": "WARN"})


def test_missing_and_unknown_fields_of_columns_are_tolerated(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    odd = column(
        "orders",
        "note",
        rows=7,
        db_data_type=None,
        general_type="future",
        pii_flag="manual: by the DPO",
        critical_data_element="maybe",
        issue_counts={},
        added_later={"x": 1},
    )
    add_group(sandbox, [odd, column("orders", None, rows=7)])
    execute(load(sandbox, build(), assets=TABLES), instance)
    assert outcomes(instance, "orders") == {"orders": True}
    [observed] = observations(instance, "orders")
    assert schema(observed.metadata) == {"note": ("future", {"testgen/pii": "manual__by_the_DPO"})}


@pytest.mark.covers("tables.profile-too-new")
def test_table_that_is_newer_than_the_run_gets_no_observation(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS)
    defs = load(sandbox, build(), assets=TABLES)
    materialize(instance, "orders", "customers")
    with at_pause(sandbox, partial(materialize, instance, "orders"), pause=1):
        assert execute(defs, instance, checks=BOTH).success
    assert outcomes(instance, "orders", "customers") == {"orders": None, "customers": True}
    assert observations(instance, "orders") == []
    assert rows(run_metadata(instance), "testgen/not_tested") == [{"check": "orders", "why": STARTED_BEFORE}]


@pytest.mark.covers("tables.profile-failed")
def test_failed_profiling_run_reports_nothing(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, [issue("orders")], outcome="fail", error="out of memory")
    ran = execute(load(sandbox, build(), assets=TABLES), instance, checks=[key("orders")])
    assert "out of memory" in failure(ran)
    assert outcomes(instance, "orders") == {"orders": None}
    assert observations(instance, "orders") == []


@pytest.mark.covers("tables.profile-unmapped")
def test_tables_without_checks_can_fail_the_step(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, [*COLUMNS, column("products")])
    ran = execute(load(sandbox, build(unmapped="fail"), assets=TABLES), instance)
    assert "demo.products" in failure(ran)
    assert outcomes(instance, "orders") == {"orders": True}


@pytest.mark.covers("tables.profile-old-server")
def test_server_without_the_lists_says_which_version_is_needed(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS)
    sandbox.add_fault(Fault("status", path="/columns", status=404, body='{"detail":"Not Found"}'))
    ran = execute(load(sandbox, build(), assets=TABLES), instance, checks=[key("orders")])
    assert "TestGen 5.92 or later" in failure(ran)


def test_reexecution_attaches_to_the_profiling_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, running_seconds=60)
    job = job_of(load(sandbox, build(), assets=TABLES), checks=BOTH)
    with at_pause(sandbox, dies, pause=1):
        first = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not first.success
    assert reexecute(job, instance, first.run_id).success
    assert sandbox.starts("testgen") == 1
    assert outcomes(instance, "orders", "customers") == {"orders": True, "customers": True}


class TestDefinitions:
    __test__ = True

    def test_tables_can_be_named_if_the_mapping_knows_none(self) -> None:
        known = [SuiteTable("orders", "demo")]
        [spec] = build(tables=TableKeys.by_convention(), known_tables=known).checks.check_specs
        assert (spec.asset_key, spec.name) == (dg.AssetKey(["demo", "orders"]), "testgen__hygiene_issues")
        with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"Pass known_tables=\[SuiteTable"):
            build(tables=TableKeys.by_convention())

    def test_asset_of_the_runs_has_a_name_of_its_own(self) -> None:
        assert build().suite.key == PROFILE_KEY

    def test_only_a_profiling_run_is_accepted(self) -> None:
        with pytest.raises(dg.DagsterInvalidDefinitionError, match="TestGenProfilingRun"):
            build_testgen_profile("9a0f11e0", tables={})  # type: ignore[arg-type]


@pytest.mark.covers("tables.profile-gate")
def test_gate_judges_the_profiling_run(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    add_group(sandbox, COLUMNS, [issue("orders")], score=0.5)
    profile = build(gate=QualityGate(min_score=0.9))
    assert execute(load(sandbox, profile, assets=TABLES), instance).success
    assert sandbox.starts("testgen") == 1
    judged = {spec.name: evaluated(instance, spec.key)[0] for spec in profile.gate_specs}
    assert {name: one.passed for name, one in judged.items()} == {
        "run_status": True,
        "hygiene_issues": False,
        "quality_score": False,
    }
