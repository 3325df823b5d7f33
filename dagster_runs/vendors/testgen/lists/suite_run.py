"""A run of a test suite whose tests are reported as checks of other assets, and the calls that this needs."""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dagster_runs.remote_run.data_tests import DataTestResult, SuiteTest
from dagster_runs.remote_run.quality import QualityGate
from dagster_runs.remote_run.state import RunState, RunStatus
from dagster_runs.remote_run.types import RunResult
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen import outcomes
from dagster_runs.vendors.testgen.lists.failing_tests import MAX_FAILING_TESTS
from dagster_runs.vendors.testgen.lists.models import SuiteResult, SuiteResultPage, TestDefinitions
from dagster_runs.vendors.testgen.lists.names import name_of
from dagster_runs.vendors.testgen.lists.pages import FindingsList
from dagster_runs.vendors.testgen.resource import TestGenResource
from dagster_runs.vendors.testgen.runs import MATCH_SCHEMA, TestGenTestRun, with_score

_COMPARING = ("Aggregate_", "Combo_Match", "Distribution_Shift", "Timeframe_Combo")
"""The beginnings of the types of tests that compare two tables."""
_RESULTS = FindingsList(
    "test-runs",
    "results",
    SuiteResultPage,
    SuiteResult,
    is_identified=lambda one: one.test_definition_id is not None,
    description="results of tests",
    hint="The checks of tables need TestGen 5.70 or later.",
)
_TestKey = tuple[str | None, str | None, str | None]
"""The table, the column and the type of a test. An export does not contain the test's id."""
_WORST_FIRST = ("failed", "error", "warning")
_logger = logging.getLogger(__name__)


class TestGenSuiteRun(TestGenTestRun):
    """A `TestGenTestRun` that also reports the result of each test (5.70 and later)."""

    __doc__ = TestGenTestRun.__doc__

    def fetch_result(
        self, resource: TestGenResource, run_id: str, status: RunStatus, gate: QualityGate | None
    ) -> RunResult:
        """Returns the counts, the score, and the results of all tests. Only a gate needs to wait for the score."""
        if status.state is not RunState.SUCCEEDED:
            counts = outcomes.test_run_metadata(resource.get_test_run(run_id).result)
            return RunResult(counts if any(entry.value for entry in counts.values()) else {})
        # The score is set shortly after the run has ended. A sensor that cannot wait for it reads no list in vain.
        judged = with_score(lambda: resource.get_test_run(run_id), status, resource) if gate is not None else None
        results = list_results(resource, run_id)
        run = judged or resource.get_test_run(run_id)
        schema = (run.metadata or {}).get(MATCH_SCHEMA)
        compared = _compared_tables(resource, self.test_suite_id, results, str(schema) if schema else None)
        return RunResult(
            outcomes.test_run_metadata(run.result),
            outcomes.of_test_run(run.result, gate, _failing(results)),
            tests=[_as_result(one, compared) for one in results],
            target_name=name_of(resource, self.targets, self.target),
        )


def _failing(results: Sequence[SuiteResult]) -> list[SuiteResult]:
    """Returns the first tests that did not pass, worst first."""
    found = [(_WORST_FIRST.index(kind), one) for one in results if (kind := _status_of(one)) in _WORST_FIRST]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])][:MAX_FAILING_TESTS]


def _status_of(one: SuiteResult) -> str:
    return (one.result_status or "").strip().lower()


def list_results(resource: TestGenResource, run_id: str) -> list[SuiteResult]:
    """Returns the results of all tests of a finished run, without dismissed and muted ones, each once.

    GET ``/test-runs/{id}/results``, 100 at a time (5.70 and later).

    Raises:
        NotFoundError: The server cannot list results.
        UnexpectedResponseError: The list changed while it was read, several times. A retry may help.
    """
    return _RESULTS.read(resource, run_id)


def _compared_tables(
    resource: TestGenResource, test_suite_id: str, results: Sequence[SuiteResult], schema: str | None
) -> Mapping[_TestKey, str]:
    """Returns the tables on the other side of tests that compare two, which only the tests' definitions contain.

    An unavailable export must not fail the step, since the tables are only shown.

    Args:
        resource: The connection to the server.
        test_suite_id: The suite.
        results: The results of the run.
        schema: The comparison schema of the run, in place of the one in each definition.
    """
    if not any((one.test_type or "").startswith(_COMPARING) for one in results):
        return {}
    found: dict[_TestKey, dict[str, None]] = {}
    try:
        response = resource.http().get(["test-suites", test_suite_id, "test-definition-export"])
        definitions = response.parse(TestDefinitions).definitions
    except VendorError as error:
        _logger.info("The definitions of the tests of suite %s are unavailable: %s", test_suite_id, error)
        return {}
    for one in definitions:
        if one.match_table_name:
            key = (one.table_name, one.column_name, one.test_type)
            in_schema = one.match_schema_name and (schema or one.match_schema_name)
            found.setdefault(key, {})[".".join(filter(None, (in_schema, one.match_table_name)))] = None
    return {key: ", ".join(tables) for key, tables in found.items()}


def _as_result(one: SuiteResult, compared: Mapping[_TestKey, str] = MappingProxyType({})) -> DataTestResult:
    test = SuiteTest(one.table_name or "", one.schema_name, one.column_names, one.test_type, one.test_definition_id)
    return DataTestResult(
        test,
        _status_of(one),
        one.test_type_name,
        one.result_measure,
        one.threshold_value,
        one.result_message,
        compared.get((one.table_name, one.column_names, one.test_type)),
    )


def list_run_tests(resource: TestGenResource, run_id: str) -> list[SuiteTest]:
    """Returns the tests that a finished run has results of. A result without a table belongs to no check.

    Raises:
        NotFoundError: The server cannot list results.
    """
    return [test for one in list_results(resource, run_id) if (test := _as_result(one).test).table]
