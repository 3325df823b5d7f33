"""What a mistake is tried with, and the message that a person sees for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_runs import RudderStackProfilesRun, RudderStackResource, TestGenTestRun, build_remote_run_asset
from dagster_runs.sandbox import Fault, Sandbox, well_known
from tests.remote_run.materializing import resources_at

PROFILES = RudderStackProfilesRun(profiles_id=well_known.PROFILES_FEATURES)
TESTS = TestGenTestRun(test_suite_id=well_known.SUITE_CLEAN)


@dataclass(frozen=True)
class Trial:
    """What the code of a mistake can use.

    Attributes:
        sandbox: The simulated vendors.
        instance: The Dagster instance.
        patch: Sets environment variables.
        folder: A folder for files.
    """

    sandbox: Sandbox
    instance: dg.DagsterInstance
    patch: pytest.MonkeyPatch
    folder: Path

    def materialize(self, *assets: Any, resources: dict[str, Any] | None = None, **options: Any) -> Any:
        given = resources_at(self.sandbox.url) if resources is None else resources
        return dg.materialize(assets, resources=given, instance=self.instance, raise_on_error=False, **options)

    def rudderstack(self, **settings: Any) -> RudderStackResource:
        """Returns a resource that is connected to the sandbox, with some settings changed."""
        base = f"{self.sandbox.url}/rudderstack"
        given = {"access_token": well_known.RUDDERSTACK_TOKEN, "base_url": base, "max_retries": 0, **settings}
        return RudderStackResource(**given)

    def profiles_with(self, resource: Any = None, **settings: Any) -> Any:
        """Materializes a Profiles run with a resource."""
        found = self.rudderstack(**settings) if resource is None else resource
        return self.materialize(profiles(), resources={"rudderstack": found})

    def profiles_during(self, fault: Fault) -> Any:
        """Materializes a Profiles run while the vendor has a fault."""
        self.sandbox.add_fault(fault)
        return self.profiles_with()


def profiles(**options: Any) -> dg.AssetsDefinition:
    return build_remote_run_asset(PROFILES, **{"key": "user_features", **options})


@dataclass(frozen=True)
class Mistake:
    """A misconfiguration.

    Attributes:
        id: Its id on the page.
        what: What is wrong, as a person would say it.
        attempt: Makes the mistake. Raises, or returns the result of a Dagster run.
        wrong: What the message says is wrong, as a regular expression.
        advice: What the message says to do, as a regular expression.
        note: What to do, if the message is Dagster's own and does not say it.
        part: The part of a long message that the page shows, as a regular expression.
    """

    id: str
    what: str
    attempt: Callable[[Trial], Any]
    wrong: str
    advice: str
    note: str = ""
    part: str = ""


def message_of(mistake: Mistake, trial: Trial) -> str:
    """Returns the message that a person sees: of the exception, or of the failed step or run."""
    try:
        result = mistake.attempt(trial)
    except Exception as error:
        message = _normal(str(error), trial)
    else:
        message = _normal(_failure(result), trial)
    part = re.search(mistake.part, message)
    return part.group() if mistake.part and part else message


def _failure(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    failed = [event for event in result.all_events if event.is_step_failure]
    if not failed:
        [event] = [event for event in result.all_events if event.is_failure]
        error = event.job_failure_data.error
        assert error is not None
        assert error.cause is None, "Dagster has wrapped the error in one of its own"
        return error.message
    data = failed[-1].step_failure_data
    described = data.user_failure_data.description if data.user_failure_data else None
    assert data.error is not None
    assert described or data.error.cause is None, "Dagster has wrapped the error in one of its own"
    return described or data.error.message


_PYDANTIC = re.compile(
    r"^\d+ validation errors? for (\w+) (?:(\w+) (?=Value error|Input|String))?(?:Value error, )?(.*?) \[type=.*$"
)


def _normal(message: str, trial: Trial) -> str:
    """Returns a message in one line, without what differs from machine to machine and without decoration."""
    text = " ".join(message.split())
    text = _PYDANTIC.sub(lambda found: ": ".join(part for part in found.groups() if part), text)
    text = re.sub(r"^[a-z_.]+\.(?=[A-Z]\w+: )", "", text)  # the module of an exception
    text = re.sub(r" \(_ssl\.c:\d+\)|\[Errno -?\d+\] ", "", text)
    text = re.sub(r"\(gaierror: [^)]*\)", "(gaierror: Name or service not known)", text)  # differs by resolver
    places = {
        trial.sandbox.url.partition("//")[2]: "127.0.0.1:8099",
        str(trial.folder): "/certificates",
    }
    for found, shown in places.items():
        text = text.replace(found, shown)
    return re.sub(r"127\.0\.0\.1:(?!8099|9\b)\d+", "127.0.0.1:8443", text)
