"""The tests of a run that did not pass, to show them next to the counts."""

import logging

from dagster_runs.remote_run.tables import MAX_ROWS
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen.models import FailingTest
from dagster_runs.vendors.testgen.resource import TestGenResource

MAX_FAILING_TESTS = MAX_ROWS
_logger = logging.getLogger(__name__)


def failing_tests(resource: TestGenResource, run_id: str) -> list[FailingTest]:
    """Returns the tests that did not pass, worst first. An unavailable list must not fail the materialization."""
    found: list[FailingTest] = []
    for status in ("failed", "error", "warning"):
        try:
            found += resource.list_failing_tests(run_id, status, MAX_FAILING_TESTS - len(found))
        except VendorError as error:
            _logger.info("The list of failing tests of run %s is unavailable: %s", run_id, error)
            break
        if len(found) >= MAX_FAILING_TESTS:
            break
    return found
