"""The checks that a kind of run declares, and the outcomes that it reports for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_runs.remote_run.types import CheckOutcome, DataCheck, RunResult

if TYPE_CHECKING:
    from dagster_runs.remote_run.contract import RemoteRun

_CHECK_NAME = re.compile("[A-Za-z0-9_]+")

UNDECLARED_KEY = "dagster_runs/undeclared_checks"
"""Metadata that names the checks that the vendor's code reported without declaring them."""


def data_checks_of(run: "RemoteRun[Any] | type[RemoteRun[Any]]") -> dict[str, DataCheck]:
    """Returns the data checks of a run, or those that all runs of a class have.

    Raises:
        DagsterInvalidDefinitionError: The checks depend on the fields of a run, and ``run`` is only a class. Or
            `RemoteRun.declared_checks` returned something else than checks.
    """
    if isinstance(run, type) and run.checks_depend_on_fields():
        raise dg.DagsterInvalidDefinitionError(
            f"The checks of a {run.__name__} depend on its fields, so they are known only for a run: pass "
            f"`{run.__name__}(...)`, not a function or the class"
        )
    if isinstance(run, type):
        return _as_checks(run.data_checks)
    source, declared = f"{type(run).__name__}.declared_checks()", run.declared_checks()
    problem = checks_problem(source, declared)
    if problem:
        raise dg.DagsterInvalidDefinitionError(f"{problem}.")
    return _as_checks(declared)


def _as_checks(declared: Mapping[str, str | DataCheck]) -> dict[str, DataCheck]:
    return {name: DataCheck(check) if isinstance(check, str) else check for name, check in declared.items()}


def checks_problem(source: str, declared: Any) -> str | None:
    """Returns what is wrong with the checks that an author declares; ``None`` if nothing is.

    Args:
        source: What declares them, for the message.
        declared: What the author declared, of any type.
    """
    if not isinstance(declared, Mapping):
        return f"{source} is a {type(declared).__name__}. It must map the name of each check to its description"
    for name, check in declared.items():
        if not isinstance(name, str) or name == "run_status" or not _CHECK_NAME.fullmatch(name):
            return (
                f"{source} has {name!r}. The name of a check has only letters, digits and underscores, and is not "
                "run_status, which every run has"
            )
        if not isinstance(check, (str, DataCheck)):
            return f"{source}[{name!r}] is {check!r}. It must be a description, or a DataCheck"
    return None


def reported_on_failure(run: "RemoteRun[Any]", outcomes: Sequence[CheckOutcome]) -> list[CheckOutcome]:
    """Returns the outcomes that are reported for a run that did not succeed."""
    declared = data_checks_of(run)
    return [one for one in outcomes if one.name in declared and declared[one.name].on_failure]


def with_declared_checks(run: "RemoteRun[Any]", result: RunResult, *, succeeded: bool) -> RunResult:
    """Returns a result with one outcome for each declared check.

    An outcome that the vendor's code left out is not a success, so the check fails. An undeclared check cannot be
    reported, because Dagster shows only declared ones; the metadata names it.

    Args:
        run: The run.
        result: The result that the vendor's code returned.
        succeeded: Whether the run succeeded. For any other run, missing outcomes are expected.
    """
    declared = data_checks_of(run)
    outcomes: dict[str, CheckOutcome] = {}
    for outcome in result.checks:
        if outcome.name not in outcomes or not outcome.passed:  # of two outcomes of a check, the failure counts
            outcomes[outcome.name] = outcome
    for missing in declared.keys() - outcomes.keys() if succeeded else ():
        why = f"{type(run).__name__}.fetch_result() returned no outcome for this check, so nothing was checked"
        outcomes[missing] = CheckOutcome(missing, passed=False, description=why)
    undeclared = ", ".join(sorted(outcomes.keys() - declared.keys()))
    problem = (
        {UNDECLARED_KEY: f"{undeclared}: not in data_checks or declared_checks() of {type(run).__name__}"}
        if undeclared
        else {}
    )
    checks = tuple(outcomes[one] for one in declared if one in outcomes)
    return replace(result, metadata={**result.metadata, **problem}, checks=checks)


def described(run: "RemoteRun[Any] | type[RemoteRun[Any]]") -> Mapping[str, str]:
    """Returns the descriptions of a run's data checks."""
    return {name: check.description for name, check in data_checks_of(run).items()}
