"""Connects each vendor of the demo to the real one if its credentials are in the environment, or else to the sandbox.

| Vendor | Credentials | Ids of what to run |
|---|---|---|
| Amperity | `AMPERITY_TENANT`, and `AMPERITY_ACCESS_TOKEN`, or `AMPERITY_CLIENT_ID` and `AMPERITY_CLIENT_SECRET` (and `AMPERITY_TOKEN_URL`); `AMPERITY_BASE_URL` for Azure and Australia | `AMPERITY_CONFIG_ID` (a courier group) |
| Prophecy | `PROPHECY_ACCESS_TOKEN` (and `PROPHECY_BASE_URL`) | `PROPHECY_FABRIC_ID`, `PROPHECY_PROJECT_ID`, `PROPHECY_PIPELINE_NAME`, `PROPHECY_REPORT_NAME` |
| RudderStack | `RUDDERSTACK_ACCESS_TOKEN` (and `RUDDERSTACK_REGION`) | `RUDDERSTACK_PROFILES_ID`, `RUDDERSTACK_CONNECTION_ID` (Reverse ETL) |
| Segmentflow | `SEGMENTFLOW_API_KEY` | `SEGMENTFLOW_JOURNEY_KEY` |
| TestGen | `TESTGEN_BASE_URL`, and `TESTGEN_ACCESS_TOKEN` or `TESTGEN_CLIENT_ID`, `TESTGEN_CLIENT_SECRET`, `TESTGEN_REFRESH_TOKEN` | `TESTGEN_TABLE_GROUP_ID`, `TESTGEN_FEATURES_SUITE_ID`, `TESTGEN_ORDERS_SUITE_ID`, `TESTGEN_GENERATED_SUITE_ID` |
"""  # noqa: E501 - a table

import os

import dagster as dg

from dagster_runs import AmperityResource, ProphecyResource, RudderStackResource, TestGenResource
from dagster_runs.sandbox import well_known

_SANDBOX_IDS = {
    "AMPERITY_CONFIG_ID": well_known.AMPERITY_COURIERS,
    "PROPHECY_FABRIC_ID": str(well_known.PROPHECY_FABRIC),
    "PROPHECY_PROJECT_ID": well_known.PROPHECY_PROJECT,
    "PROPHECY_PIPELINE_NAME": well_known.PROPHECY_PIPELINE,
    "PROPHECY_REPORT_NAME": well_known.PROPHECY_PIPELINE_FAILING,
    "RUDDERSTACK_PROFILES_ID": well_known.PROFILES_FEATURES,
    "RUDDERSTACK_CONNECTION_ID": well_known.RETL_AUDIENCE,
    "SEGMENTFLOW_JOURNEY_KEY": well_known.SEGMENTFLOW_JOURNEY_KEY,
    "TESTGEN_TABLE_GROUP_ID": well_known.TABLE_GROUP,
    "TESTGEN_FEATURES_SUITE_ID": well_known.SUITE_FEATURES,
    "TESTGEN_ORDERS_SUITE_ID": well_known.SUITE_ORDERS,
    "TESTGEN_GENERATED_SUITE_ID": well_known.SUITE_GENERATED,
}
_SANDBOX_TOKENS = {
    "SANDBOX_AMPERITY_TOKEN": well_known.AMPERITY_TOKEN,
    "SANDBOX_PROPHECY_TOKEN": well_known.PROPHECY_TOKEN,
    "SANDBOX_RUDDERSTACK_TOKEN": well_known.RUDDERSTACK_TOKEN,
    "SANDBOX_TESTGEN_TOKEN": well_known.TESTGEN_TOKEN,
}


def sandbox_url() -> str:
    """Returns the URL of the sandbox."""
    return os.environ.get("DAGSTER_RUNS_SANDBOX_URL", "http://127.0.0.1:8099")


def _dagster_url() -> str:
    return os.environ.get("DAGSTER_URL", "http://127.0.0.1:3000")


def _is_real(vendor: str) -> bool:
    if vendor == "segmentflow":
        # `set_variables` also sets it, and the processes that Dagster starts inherit it.
        return os.environ.get("SEGMENTFLOW_API_KEY", well_known.SEGMENTFLOW_API_KEY) != well_known.SEGMENTFLOW_API_KEY
    variables = {
        "amperity": ("AMPERITY_TENANT", "AMPERITY_ACCESS_TOKEN", "AMPERITY_CLIENT_ID"),
        "prophecy": ("PROPHECY_ACCESS_TOKEN",),
        "rudderstack": ("RUDDERSTACK_ACCESS_TOKEN",),
        "testgen": ("TESTGEN_BASE_URL",),
    }[vendor]
    return any(variable in os.environ for variable in variables)


def set_variables() -> None:
    """Sets the environment variables that the YAML files in demo/defs and the connections to the sandbox name.

    Variables that you have set keep their values.

    Raises:
        DagsterInvalidDefinitionError: The id of the journey is missing.
    """
    for name, value in _SANDBOX_TOKENS.items():
        os.environ.setdefault(name, value)
    os.environ["SANDBOX_TESTGEN_URL"] = f"{sandbox_url()}/testgen"
    os.environ["SEGMENTFLOW_JOURNEY_KEY"] = id_of("SEGMENTFLOW_JOURNEY_KEY")
    if _is_real("segmentflow"):
        os.environ.setdefault("SEGMENTFLOW_BASE_URL", "https://api.segmentflow.ai")
    else:
        os.environ["SEGMENTFLOW_API_KEY"] = well_known.SEGMENTFLOW_API_KEY
        os.environ["SEGMENTFLOW_BASE_URL"] = f"{sandbox_url()}/segmentflow"


def id_of(name: str) -> str:
    """Returns an id from the environment if the vendor's credentials are set, or else the sandbox's id.

    Raises:
        DagsterInvalidDefinitionError: The credentials are set, and the id is not.
    """
    if not _is_real(name.partition("_")[0].lower()):
        return _SANDBOX_IDS[name]
    if name not in os.environ:
        raise dg.DagsterInvalidDefinitionError(f"Set {name}, because this vendor's credentials are set.")
    return os.environ[name]


def fabric_id() -> int:
    """Returns the id of the Prophecy fabric.

    Raises:
        DagsterInvalidDefinitionError: It is missing or not a number.
    """
    text = id_of("PROPHECY_FABRIC_ID")
    if not text.isdecimal():
        raise dg.DagsterInvalidDefinitionError(f"PROPHECY_FABRIC_ID is {text!r}; it must be a number")
    return int(text)


def _if_set(name: str) -> dg.EnvVar | None:
    return dg.EnvVar(name) if name in os.environ else None


def amperity() -> AmperityResource:
    """Returns the connection to Amperity or to its sandbox."""
    if _is_real("amperity"):
        return AmperityResource(
            tenant=id_of("AMPERITY_TENANT"),
            access_token=_if_set("AMPERITY_ACCESS_TOKEN"),
            client_id=_if_set("AMPERITY_CLIENT_ID"),
            client_secret=_if_set("AMPERITY_CLIENT_SECRET"),
            token_url=_if_set("AMPERITY_TOKEN_URL"),
            base_url=os.environ.get("AMPERITY_BASE_URL", "https://app.amperity.com"),
        )
    return AmperityResource(
        tenant="sandbox", access_token=dg.EnvVar("SANDBOX_AMPERITY_TOKEN"), base_url=f"{sandbox_url()}/amperity"
    )


def prophecy() -> ProphecyResource:
    """Returns the connection to Prophecy or to its sandbox."""
    if _is_real("prophecy"):
        return ProphecyResource(
            access_token=dg.EnvVar("PROPHECY_ACCESS_TOKEN"),
            base_url=os.environ.get("PROPHECY_BASE_URL", "https://app.prophecy.io"),
        )
    return ProphecyResource(access_token=dg.EnvVar("SANDBOX_PROPHECY_TOKEN"), base_url=f"{sandbox_url()}/prophecy")


def rudderstack() -> RudderStackResource:
    """Returns the connection to RudderStack or to its sandbox."""
    if _is_real("rudderstack"):
        return RudderStackResource(
            access_token=dg.EnvVar("RUDDERSTACK_ACCESS_TOKEN"),
            region="eu" if os.environ.get("RUDDERSTACK_REGION", "us").lower() == "eu" else "us",
        )
    return RudderStackResource(
        access_token=dg.EnvVar("SANDBOX_RUDDERSTACK_TOKEN"), base_url=f"{sandbox_url()}/rudderstack"
    )


def testgen() -> TestGenResource:
    """Returns the connection to TestGen or to its sandbox."""
    if not _is_real("testgen"):
        return TestGenResource(
            base_url=f"{sandbox_url()}/testgen",
            access_token=dg.EnvVar("SANDBOX_TESTGEN_TOKEN"),
            project_code="DEFAULT",
            ui_url=f"{sandbox_url()}/testgen/ui",
            dagster_url=_dagster_url(),
        )
    return TestGenResource(
        base_url=os.environ["TESTGEN_BASE_URL"],
        project_code=os.environ.get("TESTGEN_PROJECT_CODE"),
        ui_url=os.environ.get("TESTGEN_UI_URL"),
        dagster_url=_dagster_url(),
        access_token=_if_set("TESTGEN_ACCESS_TOKEN"),
        client_id=_if_set("TESTGEN_CLIENT_ID"),
        client_secret=_if_set("TESTGEN_CLIENT_SECRET"),
        refresh_token=_if_set("TESTGEN_REFRESH_TOKEN"),
    )
