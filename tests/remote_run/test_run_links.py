"""The link to the vendor's page of a run, from a template that the user sets."""

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import ProphecyPipelineRun, RudderStackResource, build_remote_run_asset
from dagster_runs.remote_run.run_links import run_link
from dagster_runs.sandbox import Fault, Sandbox, well_known
from dagster_runs.testing import sandbox_resources
from tests.remote_run.materializing import PROFILES, TESTS, failure, materialize, metadata

TEMPLATE = "https://proxy.example.com/rs/{kind}/{target}/runs/{run_id}?tab=log"

pytestmark = pytest.mark.usefixtures("clock")


def log_of(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


def test_link_is_in_metadata_and_log(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(PROFILES, key="features")
    result = materialize([asset], sandbox, instance, settings={"run_url_template": TEMPLATE})
    assert result.success
    run_id = sandbox.runs("rudderstack")[0].id
    link = f"https://proxy.example.com/rs/profiles-run/{PROFILES.profiles_id}/runs/{run_id}?tab=log"
    assert metadata(instance, "features")["dagster_runs/url"] == link
    assert link in log_of(instance, result)


def test_template_replaces_the_address_that_the_package_knows(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(TESTS, key="quality")
    settings = {"run_url_template": TEMPLATE}
    assert materialize([asset], sandbox, instance, settings=settings).success
    assert metadata(instance, "quality")["dagster_runs/url"].startswith("https://proxy.example.com/rs/test-run/")


def test_failure_has_the_link(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(PROFILES.with_fields({"profiles_id": well_known.PROFILES_FAILING}), key="features")
    result = materialize([asset], sandbox, instance, settings={"run_url_template": TEMPLATE})
    assert not result.success
    assert "https://proxy.example.com/rs/profiles-run/" in log_of(instance, result) + failure(result)


def test_placeholders_are_percent_encoded() -> None:
    run = ProphecyPipelineRun(fabric_id=1, project_id="41", pipeline_name="a b/../c?x#y")
    link = run_link("https://example.com/{target}/{run_id}", run, "id==&z")
    path = link.removeprefix("https://example.com/")
    assert path.count("/") == 1
    assert not set("?#& ") & set(path)
    assert path.endswith("id%3D%3D%26z")


@pytest.mark.parametrize("run_id", [".", ".."])
def test_id_that_leads_to_another_page_gets_no_link(run_id: str) -> None:
    assert run_link("https://example.com/runs/{run_id}", PROFILES, run_id) is None


def test_doubled_braces_stay() -> None:
    assert run_link("https://example.com/{{x}}/{run_id}", PROFILES, "1") == "https://example.com/{x}/1"


def test_variable_is_read_in_the_step(
    sandbox: Sandbox, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_PAGES", "https://example.com/{run_id}")
    asset = build_remote_run_asset(PROFILES, key="features")
    settings = {"run_url_template": dg.EnvVar("RUN_PAGES")}
    assert materialize([asset], sandbox, instance, settings=settings).success
    assert metadata(instance, "features")["dagster_runs/url"].startswith("https://example.com/")


def test_token_in_the_template_is_hidden(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    asset = build_remote_run_asset(PROFILES, key="features")
    template = f"https://example.com/{{run_id}}?token={well_known.RUDDERSTACK_TOKEN}"
    result = materialize([asset], sandbox, instance, settings={"run_url_template": template})
    assert result.success
    assert well_known.RUDDERSTACK_TOKEN not in log_of(instance, result)
    assert metadata(instance, "features")["dagster_runs/url"].endswith("?token=[redacted]")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("https://example.com/{runid}", r"no placeholder \{runid\}; the placeholders are \{run_id\}, \{target\} and"),
        ("https://example.com/{run_id.__class__}", "no placeholder"),
        ("https://example.com/{run_id!r}", r"no placeholder \{run_id!r\}"),
        ("https://example.com/{run_id:>9}", "no placeholder"),
        ("https://example.com/{}", r"no placeholder \{\}"),
        ("https://example.com/{run_id", "braces do not match"),
        ("example.com/{run_id}", "not the address of a page"),
        ("javascript:alert({run_id})", "not the address of a page"),
        ("https://example.com:port/{run_id}", "not the address of a page"),
        ("https://[::1/{run_id}", "not the address of a page"),
        ("https://example.com/\x00{run_id}", "not the address of a page"),
        ("https://user:secret@example.com/{run_id}", "contains credentials"),
        ("https://{target}.example.com/{run_id}", "in the host"),
    ],
)
def test_invalid_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        RudderStackResource(access_token="token-1234", run_url_template=template)
    assert "user:secret" not in str(raised.value)


def test_link_to_a_lost_start_comes_from_the_template(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    sandbox.add_fault(Fault("lost_response", method="POST", times=1))
    asset = build_remote_run_asset(TESTS, key="quality")
    resources = sandbox_resources(sandbox.url, run_url_template=TEMPLATE)
    assert materialize([asset], sandbox, instance, resources=resources).success
    assert metadata(instance, "quality")["dagster_runs/url"].startswith("https://proxy.example.com/")
