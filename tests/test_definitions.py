"""The code location in definitions.py, with the environment variables of different vendors."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

DEFINITIONS = Path(__file__).parents[1] / "definitions.py"
VENDORS = ("AMPERITY_", "PROPHECY_", "RUDDERSTACK_", "SEGMENTFLOW_", "TESTGEN_")
AMPERITY = {"AMPERITY_TENANT": "socktown", "AMPERITY_CONFIG_ID": "cg-1"}
Loaded = Callable[..., dict[str, Any]]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Loads the module with only these environment variables of vendors, and returns its names."""
    import os

    for name in [name for name in os.environ if name.startswith(VENDORS)]:
        monkeypatch.delenv(name)

    def load(**variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(DEFINITIONS))

    return load


def test_all_resources_use_the_sandbox_without_variables(loaded: Loaded) -> None:
    names = loaded()
    resources = names["defs"].resources
    assert {resource.api_url().startswith(names["SANDBOX_URL"]) for resource in resources.values()} == {True}


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
