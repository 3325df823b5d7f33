"""Words of messages that depend on a vendor's name, or on its word for a state."""

import dagster as dg
import pytest

from dagster_runs import AmperityWorkflowRun, build_remote_run_asset
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import SandboxClock
from tests.remote_run.materializing import checks, failure, materialize, run_profiles


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("Airbyte sync", "an Airbyte sync"),
        ("Amperity workflow", "an Amperity workflow"),
        ("RudderStack Profiles run", "a RudderStack Profiles run"),
        ("Hightouch sync", "a Hightouch sync"),
        ("dbt job", "a dbt job"),
        ("SQL job", "an SQL job"),
        ("ETL job", "an ETL job"),
        ("Unity job", "a Unity job"),
        ("Upsolver job", "an Upsolver job"),
        ("Eurostat import", "a Eurostat import"),
    ],
)
def test_the_article_fits_the_word(words: str, says: str) -> None:
    from dagster_runs.remote_run.wording import with_article

    assert with_article(words) == says


@pytest.mark.fixes("6.14")
def test_it_does_in_what_a_user_reads(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = build_remote_run_asset(AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), key="a")
    [spec] = asset.specs
    assert (spec.description or "").startswith("Materialized by an Amperity workflow of ")
    assert materialize([asset], sandbox, instance).success
    observed = instance.fetch_observations(dg.AssetKey("a"), limit=10, ascending=True).records
    assert (observed[0].asset_observation.description or "").startswith("Starting an Amperity workflow of ")


@pytest.mark.fixes("6.14")
def test_a_run_that_finished_with_an_error_has_not_ended_finished(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    body = {"id": "r", "status": "finished", "error": "warehouse is suspended"}
    sandbox.add_fault(Fault("status", method="GET", status=200, body=body))
    result = run_profiles(sandbox, instance)
    said = "failed, though its status is finished"
    check = checks(result)["run_status"]
    assert not check.passed
    assert check.description == f"The RudderStack Profiles run {said}"
    assert check.metadata["vendor_status"].value == "finished"
    assert f"{said}: warehouse is suspended" in failure(result)
    observed = instance.fetch_observations(dg.AssetKey("features"), limit=10).records
    assert any(said in (record.asset_observation.description or "") for record in observed)
