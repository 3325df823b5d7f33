"""The component for TestGen, which can discover the suites and table groups of a project."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
from dagster.components import DefsStateConfig, DefsStateConfigArgs, StateBackedComponent
from pydantic import create_model

from dagster_runs.components import testgen_fetch, testgen_state
from dagster_runs.components.check_fields import TableKeysModel, check_table_keys
from dagster_runs.components.run_entry import RunEntry
from dagster_runs.components.scaffolder import scaffolder_for
from dagster_runs.components.suite_checks import SuiteChecks
from dagster_runs.components.templates import errors_located, located, resolved
from dagster_runs.components.testgen_discovery import Discovery, discover_model
from dagster_runs.components.vendor_component import VendorComponent
from dagster_runs.components.visible_assets import visible_specs
from dagster_runs.components.yaml_model import Fields, YamlModel, field_of, fields_of
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.table_checks.builder import TableChecks
from dagster_runs.transport.call_budget import with_call_budget
from dagster_runs.transport.clock import current_clock
from dagster_runs.vendors.testgen import (
    TestGenProfilingRun,
    TestGenResource,
    TestGenTestGenerationRun,
    TestGenTestRun,
)
from dagster_runs.vendors.testgen.lists import catalog

_logger = logging.getLogger(__name__)

FETCH_SECONDS_ON_LOAD = 20.0
"""The longest time that loading a code location waits for the server."""

_failed_fetches: set[tuple[Path, str]] = set()
"""The projects and resource keys whose fetch on loading failed in this process, and was logged.

Dagster builds the definitions twice when it loads a code location, and fetches only the first time.
"""

_EXAMPLE = """
suites:
  - test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c
    key: testgen/orders_quality
    gate: {min_score: 0.95, blocking: true}
discover:  # TestGen 5.134 and later
  suites: {include: ["orders*"], exclude: ["*draft*"]}
  table_groups: true
"""


class DiscoveryFailed(Exception):
    """The suites and table groups of a TestGen project could not be fetched."""


@dg.scaffold_with(
    scaffolder_for(
        TestGenResource,
        variables={"base_url": "TESTGEN_URL", "access_token": "TESTGEN_TOKEN"},
        literals={"project_code": "DEFAULT"},
        example=_EXAMPLE,
    )
)
class TestGenComponent(StateBackedComponent, VendorComponent):
    """Test runs, profiling runs and test generations of DataKitchen TestGen as assets.

    Suites and table groups are listed, or discovered (TestGen 5.134 and later). What is discovered is stored as the
    component's state. If the server cannot be reached, the code location loads with the stored state, or with what is
    listed, and logs a warning.

    Example:
        .. code-block:: yaml

            type: dagster_runs.TestGenComponent
            attributes:
              workspace:
                base_url: "{{ env.TESTGEN_URL }}"
                access_token: "{{ env.TESTGEN_TOKEN }}"
                project_code: DEFAULT
              suites:
                - test_suite_id: 8a4f1c7e-2b39-4e2e-a8c3-1d5e9f2a7b4c
                  key: testgen/orders_quality
                  gate: {min_score: 0.95, blocking: true}
              discover:
                suites: {include: ["orders*"], exclude: ["*draft*"]}
                table_groups: true
              translation:
                group_name: quality
              defs_state: {management_type: LOCAL_FILESYSTEM}
            requirements:
              env: [TESTGEN_URL, TESTGEN_TOKEN]
    """

    __test__: ClassVar[bool] = False

    resource_class: ClassVar[type[RemoteRunResource]] = TestGenResource
    run_lists: ClassVar[Mapping[str, type[RemoteRun[Any]]]] = {
        "suites": TestGenTestRun,
        "table_groups": TestGenProfilingRun,
        "test_generations": TestGenTestGenerationRun,
    }

    def __init__(self, given: Mapping[str, Any], context: dg.ResolutionContext, *, default_resource_key: str) -> None:
        """Resolves what YAML sets."""
        super().__init__(given, context, default_resource_key=default_resource_key)
        self.discovery: Discovery | None = None
        if "discover" in given:
            self.discovery = self._discovery(given["discover"], context.at_path("discover"))
            if "project_code" not in given["workspace"]:
                raise located(context.at_path("discover"), "discover needs project_code in workspace")
        self._state_args = DefsStateConfigArgs.local_filesystem()
        if "defs_state" in given:
            state = context.at_path("defs_state")
            with errors_located(state):
                self._state_args = DefsStateConfigArgs(**resolved(state, given["defs_state"]))
        self.table_keys = self._resolved_or_none(given, "table_keys") or {}
        if self.table_keys:
            with errors_located(context.at_path("table_keys")):
                check_table_keys(self.table_keys)
        base_url = context.at_path("workspace").at_path("base_url")
        self._address = testgen_state.address_of(str(resolved(base_url, given["workspace"]["base_url"])))
        self._checks: SuiteChecks | None = None
        self._is_loading = False
        self._has_state = False
        """Whether Dagster has looked up the state, so that an error is not about that."""
        self._problem: str | None = None
        """Why the last refresh on loading failed."""

    def _discovery(self, given: Mapping[str, Any], context: dg.ResolutionContext) -> Discovery:
        assert isinstance(self.resource, TestGenResource)  # noqa: S101 - for the type checker
        return Discovery(resolved(context, given), context, self.resource, self.resource_key)

    @classmethod
    def component_fields(cls) -> Fields:
        """Returns the fields of ``attributes``."""
        fields = super().component_fields()
        state = create_model("DefsState", __base__=YamlModel, **fields_of(DefsStateConfigArgs))  # type: ignore[call-overload]
        own = {
            "discover": field_of(discover_model(), description=_DISCOVER),
            "table_keys": field_of(TableKeysModel, description=_TABLE_KEYS),
            "defs_state": field_of(state, description=_DEFS_STATE),
        }
        return {**fields, **own}

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """Where the state is stored. After a failed refresh, the stored state is loaded without another one."""
        found = DefsStateConfig.from_args(self._state_args, default_key=f"TestGenComponent[{self.resource_key}]")
        if self._problem is None:
            return found
        return DefsStateConfig(key=found.key, management_type=found.management_type, refresh_if_dev=False)

    def write_state_to_path(self, state_path: Path) -> None:
        """Fetches the suites and table groups, and stores them.

        Raises:
            DiscoveryFailed: They could not be fetched. An earlier state is kept.
        """
        if self.discovery is None:
            testgen_state.write(state_path, testgen_state.Unavailable(problem=_NOTHING_TO_DISCOVER))
            return
        earlier = testgen_state.read_earlier(state_path, self.defs_state_config.key)
        if earlier is not None and not earlier.is_of(self._project_code(), self._address):
            earlier = None
        try:
            state: testgen_state.Found | testgen_state.Unavailable = self._fetch(self.discovery, earlier)
        except DiscoveryFailed as error:
            if not self._keeps_state_in_memory:
                raise
            # Without a state, the processes of Dagster runs could not load the code location.
            state = testgen_state.Unavailable(problem=str(error))
        testgen_state.write(state_path, state)

    @property
    def _keeps_state_in_memory(self) -> bool:
        return self._state_args.management_type.value == "LEGACY_CODE_SERVER_SNAPSHOTS"

    def _fetch(self, discovery: Discovery, earlier: testgen_state.Found | None) -> testgen_state.Found:
        quickly = with_call_budget(current_clock().monotonic() + FETCH_SECONDS_ON_LOAD)
        try:
            with quickly if self._is_loading else nullcontext():
                found = testgen_fetch.fetch(
                    discovery.resource, self._address, self._has_checks, earlier, is_quick=self._is_loading
                )
        except Exception as error:
            raise DiscoveryFailed(f"Could not fetch the suites and table groups of TestGen: {error}") from error
        return found.model_copy(update={"names": discovery.names(found, earlier)})

    def _has_checks(self, found: catalog.ListedSuite | catalog.ListedTableGroup) -> bool:
        """Whether what a suite tests, or a table group contains, is needed for checks on its tables."""
        if isinstance(found, catalog.ListedSuite):
            kind, id, name = "suites", found.test_suite_id, found.test_suite_name
        else:
            kind, id, name = "table_groups", found.table_group_id, found.table_group_name
        run_class = self.run_lists[kind]
        listed = [
            entry
            for entry in self.entries
            if isinstance(entry.run, run_class) and entry.run.target.casefold() == id.casefold()
        ]
        if listed or self.discovery is None:
            return any("checks" in entry.options for entry in listed)
        return self.discovery.has_checks(kind, name)

    def _start_checks(self, context: dg.ComponentLoadContext, found: testgen_state.Found | None) -> None:
        folders = self.table_keys.get("components")
        self._checks = SuiteChecks(
            resource_key=self.resource_key,
            table_keys=self.table_keys,
            context=self.context.at_path("table_keys"),
            tests={} if found is None else found.known,
            has_discovery=self.discovery is not None,
            specs=cache(lambda: visible_specs(context, TestGenComponent, folders)),
        )

    def checks_of(self, entry: RunEntry, spec: dg.AssetSpec) -> TableChecks | None:
        """See `VendorComponent.checks_of`."""
        assert self._checks is not None  # noqa: S101 - set before definitions are built
        return self._checks.build(entry, spec)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Builds the assets that are listed and those that are discovered. A server that is down prevents neither."""
        if self.discovery is None:
            self._start_checks(context, None)
            return self.definitions_of(self.entries)
        self._is_loading, self._problem, self._has_state = True, None, False
        try:
            return super().build_defs(context)
        except DiscoveryFailed as error:
            self._problem = str(error)
            _failed_fetches.add((context.project_root, self.resource_key))
            return super().build_defs(context)
        except KeyError:
            if not self._keeps_state_in_memory or self._has_state:
                raise
            return self.build_defs_from_state(context, None)  # Dagster has lost it
        finally:
            self._is_loading, self._problem = False, None

    def build_defs_from_state(self, context: dg.ComponentLoadContext, state_path: Path | None) -> dg.Definitions:
        """Builds the assets from the state, and those that are listed."""
        self._has_state = True
        found = self._usable(context, None if state_path is None else testgen_state.read(state_path))
        self._start_checks(context, found)
        if found is None or self.discovery is None:
            return self.definitions_of(self.entries)
        discovered = self.discovery.entries(found, self.entries)
        return self.definitions_of(self._with_lineage([*self.entries, *discovered], found))

    def _usable(
        self, context: dg.ComponentLoadContext, state: testgen_state.Found | testgen_state.Unavailable | None
    ) -> testgen_state.Found | None:
        """Returns the state if there is one, and logs what is missing or old."""
        name, wanted = f"TestGenComponent {self.resource_key}", self.discovery.description if self.discovery else ""
        if isinstance(state, testgen_state.Found) and state.is_of(self._project_code(), self._address):
            if self._problem is not None:
                _logger.warning(
                    "%s: %s. The code location is loaded with the state that was fetched %s (%s).",
                    *(name, self._problem.rstrip("."), state.age, state.fetched_at.isoformat(timespec="seconds")),
                )
            self._warn_about_unknown(state)
            if self.discovery is not None:
                for problem in self.discovery.unmatched(state):
                    _logger.warning("%s: %s", name, problem)
            return state
        if isinstance(state, testgen_state.Found):
            server = "" if state.server.address is None else f" at {state.server.address}"
            stored = f"The stored state is that of the project {state.project_code}{server}"
            problem = f"{self._problem.rstrip('.')}. {stored}" if self._problem is not None else stored
        elif self._problem is not None:
            problem = self._problem
        elif state is None and (context.project_root, self.resource_key) in _failed_fetches:
            return None
        else:
            problem = "No state has been fetched yet" if state is None else state.problem
        _logger.warning(
            "%s: %s. Missing are %s; the code location is loaded only with what is listed in YAML (%d). When "
            "this is solved, run `dg utils refresh-defs-state`, and reload the code location.",
            *(name, problem.rstrip("."), wanted, len(self.entries)),
        )
        return None

    def _project_code(self) -> str | None:
        return None if self.discovery is None else self.discovery.resource.project_code

    def _warn_about_unknown(self, found: testgen_state.Found) -> None:
        known = {one.test_suite_id.casefold() for one in found.suites}
        known |= {one.table_group_id.casefold() for one in found.table_groups}
        for entry in self.entries:
            if entry.run.target.casefold() not in known:
                _logger.warning(
                    "TestGenComponent %s: the project %s has neither a suite nor a table group with the id %s, which "
                    "is in %s. Its runs will fail, unless it was created after the state was fetched (%s).",
                    *(self.resource_key, found.project_code, entry.run.target),
                    ".".join(str(part) for part in entry.context.path),
                    found.age,
                )

    def _with_lineage(self, entries: list[RunEntry], found: testgen_state.Found) -> list[RunEntry]:
        """Returns the entries, in which each suite depends on the profiling asset of its table group."""
        profiling: dict[str, dg.AssetKey] = {}
        for entry in entries:
            if isinstance(entry.run, TestGenProfilingRun):
                # One that is impossible is reported, or left out, when the definitions are built.
                with suppress(Exception):
                    profiling[entry.run.target.casefold()] = self.spec_of(entry).key
        group_of = {one.test_suite_id.casefold(): (one.table_group_id or "").casefold() for one in found.suites}
        return [
            replace(entry, defaults={**entry.defaults, "deps": [profiling[group]]})
            if isinstance(entry.run, TestGenTestRun)
            and (group := group_of.get(entry.run.target.casefold(), "")) in profiling
            else entry
            for entry in entries
        ]


_NOTHING_TO_DISCOVER = "discover was not set when the state was written"
_DISCOVER = (
    "The suites and table groups of the project to find at the server (TestGen 5.134 and later), in addition to those "
    "that are listed. Needs `project_code` in `workspace`."
)
_TABLE_KEYS = (
    "How the assets of tables are found, for suites and table groups with `checks`. Their own `tables` take precedence."
)
_DEFS_STATE = "Where Dagster stores what was discovered. By default in the project's folder."
