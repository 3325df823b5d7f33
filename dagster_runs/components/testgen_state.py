"""What discovery found at a TestGen server, as Dagster stores it as the component's state. It contains no secrets."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ValidationError

from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import NotFoundError
from dagster_runs.vendors.testgen import TestGenResource
from dagster_runs.vendors.testgen.lists import catalog
from dagster_runs.vendors.testgen.lists.profiles_run import list_group_tables
from dagster_runs.vendors.testgen.lists.suite_run import list_run_tests

_logger = logging.getLogger(__name__)


class Server(BaseModel):
    """The server that the state was fetched from.

    Attributes:
        shape: The version of the API whose lists were read.
        version: The version that the server reports, if any.
    """

    shape: str
    version: str | None = None


class Found(BaseModel):
    """The suites and table groups of a project.

    Attributes:
        version: The version of this format.
        fetched_at: When they were fetched.
        server: The server.
        project_code: The project.
        suites: All suites, before any are included or excluded.
        table_groups: All table groups.
        tests: The tests of the suites with ``checks``, according to the latest run of each, by the suite's id without
            case. A suite without a run is not in it.
        tables: The same for the tables of the table groups with ``checks``, by the table group's id.
    """

    version: Literal[1] = 1
    fetched_at: datetime
    server: Server
    project_code: str
    suites: list[catalog.ListedSuite]
    table_groups: list[catalog.ListedTableGroup]
    tests: dict[str, list[SuiteTest]] = {}
    tables: dict[str, list[SuiteTable]] = {}

    @property
    def known(self) -> Mapping[str, Sequence[SuiteTest]]:
        """What is tested or profiled, by the id of the suite or table group without case."""
        profiled = {id: [SuiteTest(one.name, one.schema) for one in tables] for id, tables in self.tables.items()}
        return {**self.tests, **profiled}

    @property
    def age(self) -> str:
        """How long ago the state was fetched, for messages."""
        seconds = max(0.0, current_clock().wall() - self.fetched_at.timestamp())
        for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
            if seconds >= length:
                number = int(seconds // length)
                return f"{number} {unit}{'' if number == 1 else 's'} ago"
        return "less than a minute ago"


class Unavailable(BaseModel):
    """Why there is no state, for a component whose state is kept in memory.

    Attributes:
        problem: Why the server could not be read.
    """

    __test__: ClassVar[bool] = False

    problem: str


def fetch(
    resource: TestGenResource, has_checks: Callable[[catalog.ListedSuite | catalog.ListedTableGroup], bool]
) -> Found:
    """Reads all suites and table groups of the resource's project.

    Args:
        resource: The resource.
        has_checks: Whether a suite or table group has checks on its tables, so that its tests or tables are needed.

    Raises:
        VendorError: The server cannot be reached, refuses the call, or does not list them.
    """
    suites, groups = catalog.list_suites(resource), catalog.list_table_groups(resource)
    return Found(
        fetched_at=datetime.fromtimestamp(current_clock().wall(), timezone.utc),
        project_code=resource.project_code or "",
        suites=suites,
        table_groups=groups,
        server=Server(shape=catalog.SHAPE, version=catalog.server_version(resource)),
        tests=dict(_tests(resource, [one for one in suites if has_checks(one)])),
        tables=dict(_tables(resource, [one for one in groups if has_checks(one)])),
    )


def _tests(resource: TestGenResource, suites: Iterable[catalog.ListedSuite]) -> Iterator[tuple[str, list[SuiteTest]]]:
    for suite in suites:
        if suite.latest_run_id is None:
            continue
        try:
            yield suite.test_suite_id.casefold(), list_run_tests(resource, suite.latest_run_id)
        except NotFoundError as error:  # the run has been deleted meanwhile
            _logger.warning("The tests of the test suite %s are unknown: %s", suite.test_suite_name, error)


def _tables(
    resource: TestGenResource, groups: Iterable[catalog.ListedTableGroup]
) -> Iterator[tuple[str, list[SuiteTable]]]:
    for group in groups:
        try:
            tables = list_group_tables(resource, group.table_group_id)
        except NotFoundError as error:  # it has been deleted meanwhile
            _logger.warning("The tables of the table group %s are unknown: %s", group.table_group_name, error)
            continue
        if tables is not None:
            yield group.table_group_id.casefold(), tables


def write(path: Path, state: Found | Unavailable) -> None:
    """Writes the state. A reader sees either the earlier state or this one, also if the process is killed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(state.model_dump_json(indent=2), encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Found | Unavailable:
    """Reads the state. If it cannot be read, for example because a later version wrote it, the result says so."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        model = Unavailable if isinstance(stored, dict) and set(stored) == {"problem"} else Found
        return model.model_validate(stored)
    except (OSError, ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        return Unavailable(problem=f"the stored state cannot be read: {first}")
