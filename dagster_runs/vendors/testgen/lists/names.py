"""The names of suites and table groups, which the records of their runs do not contain."""

import math

from dagster_runs.remote_run.response_models import Lenient, VendorModel
from dagster_runs.transport import call_budget
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen.resource import TestGenResource


class NamedTarget(VendorModel):
    """A test suite or a table group (5.134 and later)."""

    test_suite_name: Lenient[str] = None
    table_group_name: Lenient[str] = None


def name_of(resource: TestGenResource, kind: str, target_id: str) -> str | None:
    """Returns the name of a suite or table group, for messages.

    GET ``/test-suites/{id}`` or ``/table-groups/{id}``. ``None`` if the server does not report it, and for a sensor,
    whose calls must end in time.

    Args:
        resource: The connection to the server.
        kind: ``test-suites`` or ``table-groups``.
        target_id: The id.
    """
    if call_budget.seconds_left() < math.inf:
        return None
    try:
        named = resource.http().get([kind, target_id]).parse(NamedTarget)
    except VendorError:
        return None
    return named.test_suite_name if kind == "test-suites" else named.table_group_name
