"""The wording of messages that contain a vendor's name or a vendor's status."""

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
def test_article_matches_the_next_word(words: str, says: str) -> None:
    from dagster_runs.remote_run.wording import with_article

    assert with_article(words) == says


@pytest.mark.fixes("6.14")
def test_article_matches_in_descriptions(sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock) -> None:
    asset = build_remote_run_asset(AmperityWorkflowRun(config_id=well_known.AMPERITY_COURIERS), key="a")
    [spec] = asset.specs
    assert (spec.description or "").startswith("Materialized by an Amperity workflow of ")
    assert materialize([asset], sandbox, instance).success
    observed = instance.fetch_observations(dg.AssetKey("a"), limit=10, ascending=True).records
    assert (observed[0].asset_observation.description or "").startswith("Starting an Amperity workflow of ")


@pytest.mark.fixes("6.14")
def test_run_that_finished_with_an_error_is_described_as_failed(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: SandboxClock
) -> None:
    body = {"id": "r", "status": "finished", "error": "warehouse is suspended"}
    sandbox.add_fault(Fault("status", method="GET", status=200, body=body))
    result = run_profiles(sandbox, instance)
    description = "failed, though its status is finished"
    check = checks(result)["run_status"]
    assert not check.passed
    assert check.description == f"The RudderStack Profiles run {description}"
    assert check.metadata["vendor_status"].value == "finished"
    assert f"{description}: warehouse is suspended" in failure(result)
    observed = instance.fetch_observations(dg.AssetKey("features"), limit=10).records
    assert any(description in (record.asset_observation.description or "") for record in observed)
