"""Reads what discovery needs from a TestGen server. Only the lists of suites and table groups are indispensable."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from dagster_runs.components.testgen_state import Found, Server
from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.transport import call_budget
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.errors import VendorError
from dagster_runs.vendors.testgen import TestGenResource
from dagster_runs.vendors.testgen.lists import catalog
from dagster_runs.vendors.testgen.lists.profiles_run import latest_profiling_run, list_profiled_tables
from dagster_runs.vendors.testgen.lists.suite_run import list_run_tests

_logger = logging.getLogger(__name__)

Listed = catalog.ListedSuite | catalog.ListedTableGroup
ListedT = TypeVar("ListedT", catalog.ListedSuite, catalog.ListedTableGroup)
ItemT = TypeVar("ItemT", SuiteTest, SuiteTable)


def fetch(
    resource: TestGenResource,
    address: str,
    has_checks: Callable[[Listed], bool],
    earlier: Found | None,
    *,
    is_quick: bool,
) -> Found:
    """Reads all suites and table groups of the resource's project, and what those with checks test or profile.

    If the tests of one suite cannot be read, they stay as they were in the earlier state.

    Args:
        resource: The resource.
        address: The server's address, which is stored.
        has_checks: Whether a suite or table group has checks on its tables, so that its tests or tables are needed.
        earlier: The earlier state of this project; ``None`` if there is none.
        is_quick: Whether tests of the earlier state are used without a call if the suite was not run since.

    Raises:
        VendorError: The server cannot be reached, refuses the call, or does not list them.
    """
    found = Found(
        fetched_at=datetime.fromtimestamp(current_clock().wall(), timezone.utc),
        project_code=resource.project_code or "",
        suites=_in_lasting_order(catalog.list_suites(resource), earlier.suites if earlier else ()),
        table_groups=_in_lasting_order(catalog.list_table_groups(resource), earlier.table_groups if earlier else ()),
        server=Server(shape=catalog.SHAPE, version=catalog.server_version(resource), address=address),
    )
    tests = _Contents[SuiteTest](
        "tests", "test suite", earlier.tests if earlier else {}, earlier.runs if earlier else {}, is_quick=is_quick
    )
    tables = _Contents[SuiteTable](
        "tables", "table group", earlier.tables if earlier else {}, earlier.runs if earlier else {}, is_quick=is_quick
    )
    tests.read(
        [one for one in found.suites if has_checks(one)],
        lambda suite: suite.latest_run_id,
        lambda run_id: list_run_tests(resource, run_id),
    )
    tables.read(
        [one for one in found.table_groups if has_checks(one)],
        lambda group: latest_profiling_run(resource, group.table_group_id),
        lambda run_id: list_profiled_tables(resource, run_id),
    )
    runs = {**tests.runs, **tables.runs}
    return found.model_copy(update={"tests": tests.known, "tables": tables.known, "runs": runs})


def identified(one: Listed) -> tuple[str, str]:
    """Returns the id and the name of a suite or table group."""
    if isinstance(one, catalog.ListedSuite):
        return one.test_suite_id, one.test_suite_name
    return one.table_group_id, one.table_group_name


def _in_lasting_order(listed: Sequence[ListedT], earlier: Sequence[ListedT]) -> list[ListedT]:
    """Returns each entry once, in the order of the earlier state, and the new ones by their ids.

    The order decides which of two suites has the checks of a table.
    """
    places = {identified(one)[0].casefold(): place for place, one in enumerate(earlier)}
    by_id = {identified(one)[0].casefold(): one for one in listed}
    return [by_id[id] for id in sorted(by_id, key=lambda id: (places.get(id, len(places)), id))]


@dataclass
class _Contents(Generic[ItemT]):
    """What the suites test, or the tables that the table groups profile.

    Attributes:
        what: What it is, for messages.
        of: What has it, for messages.
        earlier: What the earlier state says.
        earlier_runs: The runs that the earlier state has it from.
        is_quick: Whether the earlier state is used if the run is the same.
        known: What is known, by id without case.
        runs: The runs that it is from.
    """

    what: str
    of: str
    earlier: dict[str, list[ItemT]]
    earlier_runs: dict[str, str]
    is_quick: bool
    known: dict[str, list[ItemT]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)

    def read(
        self,
        listed: Iterable[ListedT],
        latest_run: Callable[[ListedT], str | None],
        list_items: Callable[[str], list[ItemT]],
    ) -> None:
        """Reads what is new, as far as the time allows.

        Args:
            listed: The suites or table groups.
            latest_run: Returns the id of the latest completed run.
            list_items: Returns what a run has tested or profiled.
        """
        unread: list[str] = []
        failed: dict[str, VendorError] = {}
        for one in self._unknown_first(listed):
            id, name = identified(one)
            id = id.casefold()
            if id in self.earlier:
                self._keep(id)
            if call_budget.seconds_left() <= 0:
                unread.append(name)
                continue
            try:
                self._read_one(id, latest_run(one), list_items)
            except VendorError as error:
                if call_budget.seconds_left() <= 0:
                    unread.append(name)
                else:
                    failed[name] = error
        if failed:
            first = next(iter(failed.values()))
            _logger.warning(
                f"The {self.what} of the {self.of} %s could not be read, and stay as they were in the stored state, if "
                "it has any: %s. Check the server, and run `dg utils refresh-defs-state`",
                *(cut_names([*failed]), str(first).rstrip(".")),
            )
        if unread:
            _logger.warning(
                f"There was no time left to read the {self.what} of the {self.of} %s, which stay as they were in the "
                "stored state, if it has any. The next load reads more, and `dg utils refresh-defs-state` reads all",
                cut_names(unread),
            )

    def _unknown_first(self, listed: Iterable[ListedT]) -> Iterator[Any]:
        yield from sorted(listed, key=lambda one: identified(one)[0].casefold() in self.earlier)

    def _keep(self, id: str) -> None:
        self.known[id] = self.earlier[id]
        if id in self.earlier_runs:
            self.runs[id] = self.earlier_runs[id]

    def _read_one(self, id: str, run_id: str | None, list_items: Callable[[str], list[ItemT]]) -> None:
        if run_id is None or (self.is_quick and self.runs.get(id) == run_id):
            return
        items = list_items(run_id)
        # A run without results, such as one of a suite whose tests are all muted, says nothing about the tables.
        if items:
            self.known[id] = items
        if id in self.known:
            self.runs[id] = run_id
