"""The field ``discover`` of the component for TestGen: which suites and table groups of a project become assets."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import dagster as dg
from pydantic import create_model

from dagster_runs.components.asset_fields import run_options
from dagster_runs.components.discovered_names import lasting_names
from dagster_runs.components.run_entry import RunEntry, options_model
from dagster_runs.components.templates import errors_located
from dagster_runs.components.testgen_fetch import ListedT, identified
from dagster_runs.components.testgen_state import Found
from dagster_runs.components.yaml_model import Fields, Switch, YamlModel, field_of
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.metadata_size import cut_names
from dagster_runs.vendors.testgen import TestGenProfilingRun, TestGenResource, TestGenTestRun
from dagster_runs.vendors.testgen.lists import catalog

_logger = logging.getLogger(__name__)

_KINDS: Mapping[str, type[RemoteRun[Any]]] = {"suites": TestGenTestRun, "table_groups": TestGenProfilingRun}
_ID_FIELDS = {"suites": "test_suite_id", "table_groups": "table_group_id"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!<>|~&])")


def _selection(kind: str) -> type[Switch]:
    run_class = _KINDS[kind]
    fields: Fields = {
        "include": field_of(
            list[str],
            description="Patterns for the names to include, such as `orders*`. Without it, all are included.",
            example=["orders*"],
        ),
        "exclude": field_of(
            list[str],
            description="Patterns for the names to leave out, also if they are included.",
            example=["*draft*"],
        ),
        "options": field_of(options_model(run_class), description=f"The options of each discovered {run_class.label}."),
    }
    model: type[Switch] = create_model(f"Discover{run_class.__name__}", __base__=Switch, **fields)  # type: ignore[call-overload]
    return model


def discover_model() -> type[YamlModel]:
    """Returns the model of ``discover``."""
    fields: Fields = {
        "suites": field_of(_selection("suites"), description="The test suites: `true` for all, or patterns."),
        "table_groups": field_of(
            _selection("table_groups"),
            description="The table groups, whose assets are profiling runs: `true` for all, or patterns.",
        ),
    }
    model: type[YamlModel] = create_model("Discover", __base__=YamlModel, **fields)  # type: ignore[call-overload]
    return model


@dataclass(frozen=True)
class Discovery:
    """Which suites and table groups become assets.

    Attributes:
        given: The field ``discover``, without templates.
        context: The context at its path.
        resource: The connection to the server.
        resource_key: The resource's key, which the keys of the assets begin with.
    """

    given: Mapping[str, Any]
    context: dg.ResolutionContext
    resource: TestGenResource
    resource_key: str

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
            DagsterInvalidDefinitionError: An option is invalid. The message names the line.
        """
        for kind in self.given:
            self._options(kind)

    @property
    def description(self) -> str:
        """What is discovered, for messages."""
        wanted = []
        for kind in _KINDS:
            if self._is_on(kind):
                include = self.given[kind].get("include", ["*"])
                shown = kind.replace("_", " ")
                if include:
                    wanted.append(f"all {shown}" if "*" in include else f"{shown} {', '.join(include)}")
        return " and ".join(wanted) or "nothing"

    def entries(self, found: Found, listed: Iterable[RunEntry]) -> list[RunEntry]:
        """Returns an entry for each suite and table group that is wanted, except for those that YAML lists.

        Args:
            found: The suites and table groups of the project.
            listed: The entries that YAML lists.
        """
        targets = {(type(entry.run), entry.run.target.casefold()) for entry in listed}
        entries = [*self._of_table_groups(found), *self._of_suites(found)]
        return [entry for entry in entries if (type(entry.run), entry.run.target.casefold()) not in targets]

    def unmatched(self, found: Found) -> Iterator[str]:
        """Yields what is wrong with each pattern that matches nothing in the project."""
        for kind in filter(self._is_on, _KINDS):
            shown = kind.replace("_", " ")
            names = sorted(name for _, name in self._identified(kind, found))
            for pattern in self.given[kind].get("include", []):
                if not any(fnmatchcase(name, pattern) for name in names):
                    others = f"Its {shown} are {cut_names(names)}" if names else f"It has no {shown}"
                    yield f"{pattern!r} matches none of the project's {shown}. {others}"

    def names(self, found: Found, earlier: Found | None = None) -> dict[str, dict[str, str]]:
        """Returns the names in the keys of what is wanted, by the kind and the id without case.

        Args:
            found: The suites and table groups of the project, perhaps with the names that they have already.
            earlier: The earlier state of the same project, whose names are kept.
        """
        names: dict[str, dict[str, str]] = {}
        for kind in _KINDS:
            named = self._identified(kind, found)
            existing = {id.casefold() for id, _ in named}
            kept = {**found.names.get(kind, {}), **(earlier.names.get(kind, {}) if earlier else {})}
            if earlier is not None:
                # Those that were loaded from the earlier state without a name in it, such as those that YAML excluded
                # before. What was deleted since then counts too, since its name may have been equal to another one.
                before = [one for one in self._identified(kind, earlier) if self._is_wanted(kind, one[1])]
                kept = lasting_names(before, kept)
            kept = {id: name for id, name in kept.items() if id in existing}
            names[kind] = lasting_names([one for one in named if self._is_wanted(kind, one[1])], kept)
        return names

    @staticmethod
    def _identified(kind: str, found: Found) -> list[tuple[str, str]]:
        return [identified(one) for one in (found.suites if kind == "suites" else found.table_groups)]

    def has_checks(self, kind: str, name: str) -> bool:
        """Whether a suite or table group is discovered, and has checks on its tables."""
        return self._is_wanted(kind, name) and "checks" in self.given[kind].get("options", {})

    def _of_table_groups(self, found: Found) -> list[RunEntry]:
        names = self.names(found)["table_groups"]
        return [
            self._entry(
                "table_groups",
                run,
                names[group.table_group_id.casefold()],
                title=group.table_group_name,
                metadata={
                    "testgen/name": group.table_group_name,
                    "testgen/schema": group.schema_name,
                    "testgen/connection": group.connection_name,
                    "testgen/url": catalog.table_group_url(self.resource, group.table_group_name),
                },
                props={"schema": group.schema_name, "connection": group.connection_name},
            )
            for group, run in self._wanted("table_groups", found.table_groups)
        ]

    def _of_suites(self, found: Found) -> list[RunEntry]:
        names = self.names(found)["suites"]
        return [
            self._entry(
                "suites",
                run,
                names[suite.test_suite_id.casefold()],
                title=suite.test_suite_name,
                description=suite.description,
                metadata={
                    "testgen/name": suite.test_suite_name,
                    "testgen/table_group": suite.table_group_name,
                    "testgen/url": catalog.suite_url(self.resource, suite.test_suite_id),
                },
                props={"table_group": suite.table_group_name},
            )
            for suite, run in self._wanted("suites", found.suites)
        ]

    def _wanted(self, kind: str, listed: Iterable[ListedT]) -> Iterator[tuple[ListedT, RemoteRun[Any]]]:
        """Yields what becomes an asset, with the run that materializes it."""
        for one in listed:
            id, name = identified(one)
            if not self._is_wanted(kind, name):
                continue
            try:
                run = _KINDS[kind].model_validate({_ID_FIELDS[kind]: id})
            except ValueError:
                _logger.warning("%s is left out, since TestGen lists it with the id %r, which is not a UUID.", name, id)
            else:
                yield one, run

    def _entry(
        self,
        kind: str,
        run: RemoteRun[Any],
        name: str,
        *,
        title: str,
        metadata: Mapping[str, str | None],
        props: Mapping[str, str | None],
        description: str | None = None,
    ) -> RunEntry:
        defaults: dict[str, Any] = {
            "metadata": {key: _as_metadata(key, value) for key, value in metadata.items() if value}
        }
        if description:
            defaults["description"] = as_markdown(description)
        return RunEntry(
            run=run,
            key=None,
            default_key=dg.AssetKey([self.resource_key, kind, name]),
            description_of_asset={},
            options=self._options(kind),
            observe_only=False,
            context=self.context.at_path(kind),
            props={"kind": kind, "id": run.target, "name": name, "title": title, **props},
            defaults=defaults,
            is_discovered=True,
        )

    def _is_on(self, kind: str) -> bool:
        return kind in self.given and bool(self.given[kind].get("enabled", True))

    def _is_wanted(self, kind: str, name: str) -> bool:
        if not self._is_on(kind):
            return False
        include: Sequence[str] = self.given[kind].get("include", ["*"])
        exclude: Sequence[str] = self.given[kind].get("exclude", [])
        return _matches(name, include) and not _matches(name, exclude)

    def _options(self, kind: str) -> dict[str, Any]:
        with errors_located(self.context.at_path(kind).at_path("options")):
            return run_options(self.given[kind].get("options", {}), _KINDS[kind])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _as_metadata(key: str, value: str) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.url(value) if key.endswith("/url") else dg.MetadataValue.text(value)


def as_markdown(text: str) -> str:
    """Returns a vendor's text so that Dagster, which renders descriptions as markdown, shows it unchanged."""
    return _MARKDOWN.sub(r"\\\1", text)
