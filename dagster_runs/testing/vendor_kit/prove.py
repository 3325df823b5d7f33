"""Runs the scenarios, and collects what was seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sandbox import SandboxClient
from dagster_runs.testing.vendor_kit import (
    scenarios_definition,
    scenarios_list,
    scenarios_outcome,
    scenarios_poll,
    scenarios_sensors,
    scenarios_start,
)
from dagster_runs.testing.vendor_kit.calls import Calls, learn
from dagster_runs.testing.vendor_kit.case import Case
from dagster_runs.testing.vendor_kit.clock import KitClock
from dagster_runs.testing.vendor_kit.leaks import Secrets, captured_logs
from dagster_runs.testing.vendor_kit.results import Conclusion, NotOfferedError, Report, Row, ScenarioFailedError
from dagster_runs.testing.vendor_kit.scenario import Scenario
from dagster_runs.testing.vendor_kit.subject import Subject
from dagster_runs.transport.clock import use_clock

_MODULES = (scenarios_outcome, scenarios_start, scenarios_poll, scenarios_list, scenarios_sensors, scenarios_definition)
_SCENARIOS = tuple(Scenario(function) for module in _MODULES for function in module.SCENARIOS)
_MAX_SEEN = 400


def scenarios() -> list[str]:
    """Returns the names of all scenarios, in the order in which `prove_vendor` runs them."""
    return [scenario.name for scenario in _SCENARIOS]


def prove_vendor(
    run: RemoteRun[Any],
    resource: RemoteRunResource,
    url: str | SandboxClient,
    *,
    vendor: str | None = None,
    target: str | None = None,
) -> Report:
    """Runs all scenarios against a simulated vendor.

    The sandbox is reset before each of them, and time is simulated, so all of them together take a few seconds.

    Args:
        run: A run whose target exists in the sandbox, among the default targets of the simulated vendor.
        resource: The vendor's resource, connected to the sandbox. The kit polls at least every 30 seconds.
        url: The URL of the sandbox, or the `Sandbox` itself, which is faster. Nothing else may use it meanwhile.
        vendor: The name of the simulated vendor. Defaults to the only one that has the target.
        target: The id of the target in the sandbox. Defaults to the run's target.

    Raises:
        ValueError: The simulated vendor cannot be determined, or has no such target.
    """
    with _proving(run, resource, url, vendor, target) as prover:
        rows = [prover.row(scenario) for scenario in _SCENARIOS]
    return Report(f"{type(run).__name__} at {run.vendor}", rows)


def prove_scenario(
    scenario: str,
    run: RemoteRun[Any],
    resource: RemoteRunResource,
    url: str | SandboxClient,
    *,
    vendor: str | None = None,
    target: str | None = None,
) -> Row:
    """Runs one scenario, for a test of its own. The other arguments are those of `prove_vendor`.

    Args:
        scenario: The name of the scenario.
        run: The run.
        resource: The resource.
        url: The sandbox.
        vendor: The name of the simulated vendor.
        target: The id of the target in the sandbox.

    Raises:
        ValueError: There is no such scenario, or no such target.
    """
    found = next((one for one in _SCENARIOS if one.name == scenario), None)
    if found is None:
        raise ValueError(f"there is no scenario {scenario!r}; the scenarios are {', '.join(scenarios())}")
    with _proving(run, resource, url, vendor, target) as prover:
        return prover.row(found)


class _Prover:
    def __init__(self, subject: Subject, instance: dg.DagsterInstance, clock: KitClock) -> None:
        self._subject = subject
        self._instance = instance
        self._clock = clock
        self._secrets = Secrets(subject.resource)
        self._calls: Calls | None = None

    def row(self, scenario: Scenario) -> Row:
        """Runs a scenario."""
        try:
            with captured_logs("dagster_runs", type(self._subject.run).__module__) as lines:
                seen = scenario.function(self._case())
            self._secrets.check("a log line", "\n".join(lines))
            conclusion = Conclusion.HOLDS
        except NotOfferedError as error:
            conclusion, seen = Conclusion.NOT_OFFERED, str(error)
        except ScenarioFailedError as error:
            conclusion, seen = Conclusion.FAILS, str(error)
        except Exception as error:  # noqa: BLE001 - the vendor's own classes may raise anything
            conclusion, seen = Conclusion.FAILS, f"{type(error).__name__}: {error}"
        text = " ".join(self._secrets.masked(seen).split())
        return Row(scenario.name, conclusion, text[:_MAX_SEEN], scenario.expected)

    def _case(self) -> Case:
        if self._calls is None:
            self._calls = learn(self._subject)
        return Case(self._subject, self._calls, self._instance, self._clock, self._secrets)


@contextmanager
def _proving(
    run: RemoteRun[Any], resource: RemoteRunResource, url: str | SandboxClient, vendor: str | None, target: str | None
) -> Iterator[_Prover]:
    subject = Subject.find(run, resource, url, vendor, target)
    clock = KitClock(subject.client)
    with use_clock(clock), dg.DagsterInstance.ephemeral() as instance:
        yield _Prover(subject, instance, clock)
    subject.client.reset()
