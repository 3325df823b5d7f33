"""Resource settings: literals, and environment variables inside and outside of Dagster."""

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dagster_runs import (
    AmperityResource,
    ProphecyResource,
    RemoteRunResource,
    RudderStackResource,
    SegmentflowResource,
    TestGenResource,
    VendorError,
    build_remote_run_asset,
)
from dagster_runs.sandbox import Sandbox, well_known
from tests.remote_run.materializing import PROFILES, metadata

FIXES = pytest.mark.fixes("6.12")
TOKEN = "t0ken-of-the-test"
EnvVar = dg.EnvVar
REQUIRED: dict[type[RemoteRunResource], dict[str, Any]] = {
    AmperityResource: {"tenant": "acme", "access_token": EnvVar("A_TOKEN")},
    ProphecyResource: {"access_token": EnvVar("A_TOKEN")},
    RudderStackResource: {"access_token": EnvVar("A_TOKEN")},
    SegmentflowResource: {"api_key": EnvVar("A_TOKEN")},
    TestGenResource: {"base_url": "https://testgen.example.com", "access_token": EnvVar("A_TOKEN")},
}
NUMBERS = ("request_timeout", "connect_timeout", "max_retries", "poll_interval", "requests_per_second")
ALL = [(vendor, name) for vendor in REQUIRED for name in (*NUMBERS, "allow_plain_http", "dagster_url", "ca_bundle")]
ALL += [(vendor, "base_url") for vendor in REQUIRED]
ALL += [(RudderStackResource, "region"), (AmperityResource, "tenant"), (AmperityResource, "api_version")]
ALL += [(AmperityResource, "token_url"), (TestGenResource, "project_code"), (TestGenResource, "ui_url")]
VALUES: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(NUMBERS, ("7", 7)),
    "allow_plain_http": ("true", True),
    "region": ("EU", "eu"),
    "tenant": ("socktown-sb-12345", "socktown-sb-12345"),
}
URL = ("https://other.example.com", "https://other.example.com")


any_instance: dg.DagsterInstance | None = None


@pytest.fixture(autouse=True)
def _token(running_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without an instance, Dagster creates one for each resource, which takes most of the time.
    monkeypatch.setattr(f"{__name__}.any_instance", running_instance)
    monkeypatch.setenv("A_TOKEN", TOKEN)
    for name in ("A_SETTING", "NOT_SET"):
        monkeypatch.delenv(name, raising=False)


def initialized(resource: RemoteRunResource) -> RemoteRunResource:
    """Initializes the resource as Dagster does for a run."""
    with dg.build_resources({"vendor": resource}, any_instance) as resources:
        made: RemoteRunResource = resources.vendor
    return made


def in_a_script(resource: RemoteRunResource) -> RemoteRunResource:
    resource.http()
    return resource


# Dagster reads variables of string settings itself, so these already worked; number settings have their own markers.
USES = pytest.mark.parametrize("use", [initialized, pytest.param(in_a_script, marks=FIXES)])
BOTH = pytest.mark.parametrize("use", [initialized, in_a_script])


def full_message(error: BaseException) -> str:
    """Returns everything that an error reports, including its causes."""
    parts: list[str] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            parts.append(f"{one} {getattr(one, 'errors', '')}")
            todo += [one.__cause__]
    return "\n".join(parts)


@USES
@pytest.mark.parametrize(("vendor", "name"), ALL)
def test_every_setting_can_be_an_environment_variable(
    vendor: type[RemoteRunResource], name: str, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = VALUES.get(name, URL)
    monkeypatch.setenv("A_SETTING", text)
    resource = use(vendor(**{**REQUIRED[vendor], name: EnvVar("A_SETTING")}))
    assert getattr(resource, name) == value
    assert type(getattr(resource, name)) in (type(value), float)
    if name == "base_url":
        assert resource.http().base_url.startswith(value)


@BOTH
@pytest.mark.parametrize("vendor", REQUIRED)
@pytest.mark.parametrize(
    "name", ["max_retries", *(pytest.param(one, marks=FIXES) for one in NUMBERS if one != "max_retries")]
)
def test_number_settings_accept_env_var_int(
    name: str, vendor: type[RemoteRunResource], use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SETTING", "12")
    assert getattr(use(vendor(**REQUIRED[vendor], **{name: EnvVar.int("A_SETTING")})), name) == 12


@FIXES
@BOTH
@pytest.mark.parametrize(
    ("vendor", "name", "text"),
    [
        (RudderStackResource, "region", "mars"),
        (RudderStackResource, "poll_interval", "-5"),
        (RudderStackResource, "poll_interval", "abc"),
        (SegmentflowResource, "poll_interval", "0"),
        (AmperityResource, "requests_per_second", "0"),
        (ProphecyResource, "max_retries", "-5"),
        (ProphecyResource, "max_retries", "2.5"),
        (TestGenResource, "request_timeout", "soon"),
        (TestGenResource, "connect_timeout", "-1"),
        (TestGenResource, "allow_plain_http", "perhaps"),
        (AmperityResource, "tenant", "acme/../other"),
    ],
)
@pytest.mark.covers("start.bad-setting")
def test_invalid_variable_value_is_rejected_when_it_is_read(
    vendor: type[RemoteRunResource], name: str, text: str, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SETTING", text)
    resource = vendor(**{**REQUIRED[vendor], name: EnvVar("A_SETTING")})
    with pytest.raises(Exception) as raised:  # noqa: PT011 - Dagster has its own exceptions for it
        use(resource)
    message = full_message(raised.value)
    assert name in message
    assert f"the environment variable A_SETTING contains {text!r}" in message


@pytest.mark.fixes("6.12")
@pytest.mark.parametrize("vendor", REQUIRED)
def test_invalid_base_url_is_reported_with_its_variable(
    vendor: type[RemoteRunResource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SETTING", "api.example.com")
    resource = vendor(**{**REQUIRED[vendor], "base_url": EnvVar("A_SETTING")})
    for use in (resource, initialized(resource)):
        with pytest.raises(VendorError, match=r"not an absolute .*base_url is from the environment variable A_SETTING"):
            use.http()


def secret_of(vendor: type[RemoteRunResource]) -> str:
    return vendor.secret_fields[0]


@FIXES
@BOTH
@pytest.mark.parametrize("vendor", REQUIRED)
@pytest.mark.parametrize("name", ["secret", "base_url", "max_retries", "poll_interval"])
@pytest.mark.covers("start.bad-setting")
def test_empty_variable_is_reported_as_empty(
    name: str, vendor: type[RemoteRunResource], use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SETTING", " ")
    name = secret_of(vendor) if name == "secret" else name
    resource = vendor(**{**REQUIRED[vendor], name: EnvVar("A_SETTING")})
    with pytest.raises(Exception) as raised:  # noqa: PT011
        use(resource)
    message = full_message(raised.value)
    assert name in message
    assert "the environment variable A_SETTING is empty; set a value" in message


@USES
@pytest.mark.parametrize("vendor", REQUIRED)
@pytest.mark.parametrize("name", ["secret", "base_url", "max_retries", "poll_interval"])
def test_unset_variable_is_named(name: str, vendor: type[RemoteRunResource], use: Any) -> None:
    name = secret_of(vendor) if name == "secret" else name
    resource = vendor(**{**REQUIRED[vendor], name: EnvVar("NOT_SET")})
    with pytest.raises(Exception) as raised:  # noqa: PT011
        use(resource)
    message = full_message(raised.value)
    assert name in message
    assert "NOT_SET" in message
    assert "not set" in message


@pytest.mark.parametrize(("vendor", "name"), [(vendor, name) for vendor, name in ALL if name.endswith("_url")])
def test_address_with_credentials_is_refused_without_them(
    vendor: type[RemoteRunResource], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"https://user:{TOKEN}@example.com/path"
    with pytest.raises(ValidationError, match=f"{name}\n.*must not contain credentials") as literal:
        vendor(**{**REQUIRED[vendor], name: address})
    monkeypatch.setenv("A_SETTING", address)
    with pytest.raises(
        ValueError, match=r"must not contain credentials.*in the environment variable A_SETTING"
    ) as variable:
        initialized(vendor(**{**REQUIRED[vendor], name: EnvVar("A_SETTING")}))
    assert TOKEN not in str(literal.value) + str(variable.value)


def test_template_with_credentials_in_a_variable_is_refused_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", f"https://user:{TOKEN}@example.com/{{run_id}}")
    resource = RudderStackResource(access_token=EnvVar("A_TOKEN"), run_url_template=EnvVar("A_SETTING"))
    for use in (initialized, in_a_script):
        with pytest.raises((ValueError, VendorError), match="contains credentials") as raised:
            use(resource)
        assert TOKEN not in str(raised.value)


def test_number_as_a_secret_is_not_quoted() -> None:
    with pytest.raises(ValidationError, match=r"access_token\n.*valid string") as raised:
        RudderStackResource(access_token=1234567890)
    assert "1234567890" not in str(raised.value)


@pytest.mark.fixes("6.12")
def test_errors_and_repr_never_contain_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when other settings are invalid."""
    monkeypatch.setenv("A_SETTING", "mars")
    resource = RudderStackResource(access_token=EnvVar("A_TOKEN"), region=EnvVar("A_SETTING"))
    for use in (initialized, in_a_script):
        with pytest.raises(Exception) as raised:  # noqa: PT011
            use(resource)
        assert TOKEN not in full_message(raised.value)
    assert TOKEN not in repr(resource)
    assert TOKEN not in str(resource.__dict__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("region", "mars"),
        ("region", ""),
        ("poll_interval", 0),
        ("poll_interval", "soon"),
        ("max_retries", -1),
        ("max_retries", 2.5),
        ("requests_per_second", 0),
        ("request_timeout", -1.0),
        pytest.param("access_token", "", marks=FIXES),
        pytest.param("base_url", " ", marks=FIXES),
    ],
)
def test_literal_settings_are_validated_immediately(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        RudderStackResource(**{"access_token": TOKEN, name: value})


@pytest.mark.fixes("6.12")
@pytest.mark.parametrize("region", ["EU", " eu ", "Eu"])
def test_region_is_case_insensitive(region: str) -> None:
    assert RudderStackResource(access_token=TOKEN, region=region).api_url() == "https://api.eu.rudderstack.com/v2"


@pytest.mark.fixes("6.12")
def test_tenant_rejects_a_url_and_suggests_the_id() -> None:
    with pytest.raises(ValidationError, match="enter only the id: acme"):
        AmperityResource(tenant="https://acme.amperity.com/", access_token=TOKEN)


@pytest.mark.fixes("6.12")
@pytest.mark.parametrize("vendor", REQUIRED)
def test_definitions_load_with_unset_variables_and_store_only_their_names(vendor: type[RemoteRunResource]) -> None:
    resource = vendor(**{**REQUIRED[vendor], **{name: EnvVar.int("NOT_SET") for name in NUMBERS}})

    @dg.job(resource_defs={"vendor": resource})
    def job() -> None:
        dg.op(name="nothing", required_resource_keys={"vendor"})(lambda context: None)()

    defs = dg.Definitions(jobs=[job], resources={"vendor": resource})
    dg.Definitions.validate_loadable(defs)
    defaults = resource.get_resource_definition().config_schema.default_value
    assert {defaults[name]["env"] for name in NUMBERS} == {"NOT_SET"}
    assert TOKEN not in str(defaults)


@pytest.mark.fixes("6.12")
def test_launchpad_accepts_a_value_or_a_variable(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", well_known.RUDDERSTACK_TOKEN)
    monkeypatch.setenv("A_SETTING", f"{sandbox.url}/rudderstack")
    asset = build_remote_run_asset(PROFILES, key="features")
    config = {
        "base_url": {"env": "A_SETTING"},
        "access_token": {"env": "A_TOKEN"},
        "poll_interval": 2.5,
        "max_retries": {"env": "RETRIES"},
    }
    monkeypatch.setenv("RETRIES", "1")
    defs = dg.Definitions(assets=[asset], resources={"rudderstack": RudderStackResource.configure_at_launch()})
    job = defs.resolve_implicit_global_asset_job_def()
    run_config = {"resources": {"rudderstack": {"config": config}}}
    assert job.execute_in_process(instance=instance, run_config=run_config).success
    assert metadata(instance, "features")["dagster_runs/vendor"] == "RudderStack"
    config["max_retries"] = {"env": "NOT_SET"}
    result = job.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False)
    assert not result.success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.fixes("6.12")
def test_run_reads_settings_from_variables(
    sandbox: Sandbox, instance: dg.DagsterInstance, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", well_known.RUDDERSTACK_TOKEN)
    monkeypatch.setenv("A_SETTING", f"{sandbox.url}/rudderstack")
    monkeypatch.setenv("POLL", "0")
    rudderstack = RudderStackResource(
        access_token=EnvVar("A_TOKEN"), base_url=EnvVar("A_SETTING"), poll_interval=EnvVar("POLL")
    )
    asset = build_remote_run_asset(PROFILES, key="features")

    def run() -> dg.ExecuteInProcessResult:
        return dg.materialize([asset], resources={"rudderstack": rudderstack}, instance=instance, raise_on_error=False)

    assert not run().success
    assert sandbox.starts("rudderstack") == 0
    monkeypatch.setenv("POLL", "20")
    assert run().success
    assert sandbox.starts("rudderstack") == 1


@pytest.mark.fixes("6.12")
def test_unset_secret_raises_in_a_script(sandbox: Sandbox) -> None:
    rudderstack = RudderStackResource(access_token=EnvVar("NOT_SET"), base_url=f"{sandbox.url}/rudderstack")
    with pytest.raises(VendorError, match="access_token: the environment variable NOT_SET is not set"):
        rudderstack.get_profiles_run("p", "r")
    assert not sandbox.requests()


class _UserDefinedResource(RemoteRunResource):
    """A user-defined vendor whose fields do not mention variables."""

    vendor = "Own"
    secret_fields = ("token",)

    token: str
    base_url: str = "https://own.example.com"
    workers: int = 3
    suffix: str = ""

    def api_url(self) -> str:
        return self.base_url + self.suffix

    def auth(self) -> Any:
        from dagster_runs.transport.auth import bearer

        return bearer(self.secret("token") or "")


@USES
def test_user_defined_vendor_accepts_variables(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "https://there.example.com")
    monkeypatch.setenv("WORKERS", "8")
    made = use(
        _UserDefinedResource(token=EnvVar("A_TOKEN"), base_url=EnvVar("A_SETTING"), workers=EnvVar.int("WORKERS"))
    )
    assert (made.http().base_url, made.workers, made.suffix) == ("https://there.example.com", 8, "")
    assert made.secret("token") == TOKEN


@pytest.mark.fixes("6.12")
def test_failed_step_logs_the_missing_variable(sandbox: Sandbox, instance: dg.DagsterInstance) -> None:
    """The error is in the log of the run, where users read it."""
    rudderstack = RudderStackResource(access_token=EnvVar("A_TOKEN"), poll_interval=EnvVar("NOT_SET"))
    asset = build_remote_run_asset(PROFILES, key="features")
    result = dg.materialize([asset], resources={"rudderstack": rudderstack}, instance=instance, raise_on_error=False)
    logged = "\n".join(str(event) for event in instance.all_logs(result.run_id))
    assert "the environment variable NOT_SET is not set" in logged
