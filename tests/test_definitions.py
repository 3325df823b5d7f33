"""The code location in definitions.py, with the environment variables of different vendors."""

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from dagster_runs.sandbox import Sandbox
from demo.connections import sandbox_url
from demo.location import load_definitions
from demo.sandbox import URL_VARIABLE

DEFINITIONS = Path(__file__).parents[1] / "definitions.py"
VENDORS = ("AMPERITY_", "PROPHECY_", "RUDDERSTACK_", "SEGMENTFLOW_", "TESTGEN_")
AMPERITY = {"AMPERITY_TENANT": "socktown", "AMPERITY_CONFIG_ID": "cg-1"}
Loaded = Callable[..., dict[str, Any]]


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    """Loads the module with only these environment variables of vendors, and returns its names."""

    def load(**variables: str) -> dict[str, Any]:
        os.environ.update(variables)
        return runpy.run_path(str(DEFINITIONS))

    with mock.patch.dict(os.environ):  # loading sets variables too
        for name in [name for name in os.environ if name.startswith(VENDORS)]:
            del os.environ[name]
        yield load


def test_all_resources_use_the_sandbox_without_variables(loaded: Loaded) -> None:
    resources = loaded()["defs"].resources
    assert set(resources) == {"amperity", "prophecy", "rudderstack", "segmentflow", "testgen", "testgen_discovered"}
    assert {resource.api_url().startswith(sandbox_url()) for resource in resources.values()} == {True}


def test_segmentflow_is_the_real_one_when_its_key_is_set(loaded: Loaded) -> None:
    names = loaded(SEGMENTFLOW_API_KEY="sk_live_own", SEGMENTFLOW_JOURNEY_KEY="spring")
    segmentflow = names["defs"].resources["segmentflow"]
    assert segmentflow.api_url().startswith("https://api.segmentflow.ai")
    assert segmentflow.secret("api_key") == "sk_live_own"


def test_assets_in_yaml_are_part_of_the_code_location(sandbox: Sandbox, loaded: Loaded) -> None:
    os.environ[URL_VARIABLE] = sandbox.url
    load_definitions()
    graph = loaded()["defs"].resolve_asset_graph()
    upstream = {key.to_user_string(): graph.get(key).parent_keys for key in graph.get_all_asset_keys()}
    assert upstream["welcome_journey"] == {dg.AssetKey(["testgen", "features_quality"])}
    assert {name for name in upstream if "marketing" in name} == {
        "testgen/marketing",
        "testgen/marketing_customers",
        "testgen/marketing_products",
    }
    assert upstream["testgen/marketing_customers"] == {dg.AssetKey(["testgen", "marketing"])}


def test_amperity_uses_oauth_when_client_credentials_are_set(loaded: Loaded) -> None:
    credentials = {"AMPERITY_CLIENT_ID": "amp-1", "AMPERITY_CLIENT_SECRET": "s3cret"}
    amperity = loaded(**AMPERITY, **credentials, AMPERITY_TOKEN_URL="https://login.example.com/token")["amperity"]()
    assert (amperity.tenant, amperity.base_url) == ("socktown", "https://app.amperity.com")
    assert amperity.access_token is None
    assert amperity.secret("client_secret") == "s3cret"


@pytest.mark.covers("amperity.login.hosts-aws")
def test_amperity_base_url_can_be_set_for_azure_and_australia(loaded: Loaded) -> None:
    url = "https://socktown.amperity.com"
    amperity = loaded(**AMPERITY, AMPERITY_ACCESS_TOKEN="t0ken", AMPERITY_BASE_URL=url)["amperity"]()
    assert amperity.api_url() == f"{url}/api"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AMPERITY_ACCESS_TOKEN": "t0ken", "AMPERITY_CONFIG_ID": "cg-1"}, "Set AMPERITY_TENANT"),
        ({"AMPERITY_ACCESS_TOKEN": "t0ken", "AMPERITY_TENANT": "socktown"}, "Set AMPERITY_CONFIG_ID"),
        ({"AMPERITY_CLIENT_ID": "amp-1", "AMPERITY_CONFIG_ID": "cg-1"}, "Set AMPERITY_TENANT"),
        (
            {"PROPHECY_ACCESS_TOKEN": "t0ken", "PROPHECY_FABRIC_ID": "a"},
            "PROPHECY_FABRIC_ID is 'a'; it must be a number",
        ),
    ],
)
def test_missing_or_invalid_variable_is_named(variables: dict[str, str], expected: str, loaded: Loaded) -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=expected):
        loaded(**variables)
