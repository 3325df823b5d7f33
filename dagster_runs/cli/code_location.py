"""The definitions that a command works with, loaded into this process, and the Dagster instance."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
from dagster_shared.cli import WorkspaceOpts

from dagster_runs import dagster_private
from dagster_runs.cli.output import Unusable, command_log, progress
from dagster_runs.remote_run.contract import RemoteRun
from dagster_runs.remote_run.options import RunOptions
from dagster_runs.remote_run.resource import RemoteRunResource
from dagster_runs.sensors.registry import RemoteAsset, WatchedAsset, find_watched
from dagster_runs.sensors.vendor_resources import initialize, reason_of

_AnyRun: type[RemoteRun[Any]] = RemoteRun  # type: ignore[type-abstract] # its fields are never used
_UNSET_VARIABLE = re.compile(r":config:(?P<field>\w+)\b.*environment variable \"(?P<name>\w+)\" which is not set")
_PROJECT_FILES = ("pyproject.toml", "workspace.yaml", "workspace.yml")


class CommandContext:
    """What the code of sensors and jobs needs from Dagster's context, for a command.

    Ledger entries that a command writes belong to no Dagster run.

    Args:
        instance: The Dagster instance.
        repository: The definitions of the code location.
    """

    def __init__(self, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> None:
        self.instance = instance
        self.repository_def = repository
        self.resources = SimpleNamespace()
        self.run_id = ""
        self.run = SimpleNamespace(run_id="", tags={}, parent_run_id=None)
        self.log = command_log()

    def log_event(self, event: dg.AssetObservation) -> None:
        """Stores an event."""
        self.instance.report_runless_asset_event(event)


@dataclass(eq=False)
class CodeLocation:
    """The definitions of one code location.

    Attributes:
        name: The name of the code location.
        repository: Its definitions.
        instance: The Dagster instance.
    """

    name: str
    repository: dg.RepositoryDefinition
    instance: dg.DagsterInstance
    _stack: ExitStack = field(default_factory=ExitStack)
    _resources: dict[str, RemoteRunResource | str] = field(default_factory=dict)

    def __enter__(self) -> "CodeLocation":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @cached_property
    def context(self) -> CommandContext:
        """The context for the code of sensors and jobs."""
        return CommandContext(self.instance, self.repository)

    @cached_property
    def resource_keys(self) -> list[str]:
        """The keys of all resources of vendors, sorted."""
        found = {asset.remote.resource_key for asset in self._factory_assets}
        for key, definition in self.repository.get_top_level_resources().items():
            cls = dagster_private.resource_class(definition)
            if cls is not None and issubclass(cls, RemoteRunResource):
                found.add(key)
        return sorted(found)

    @cached_property
    def assets(self) -> list[WatchedAsset]:
        """Everything whose steps start remote runs: also user-defined assets that use a vendor's resource."""
        keys = set(self.resource_keys)
        return [*self._factory_assets, *(self._user_assets(keys))]

    @cached_property
    def _definitions(self) -> list[dg.AssetsDefinition]:
        repository = self.repository
        found = [*repository.assets_defs_by_key.values(), *repository.asset_checks_defs_by_key.values()]
        return list({id(definition): definition for definition in found}.values())

    @cached_property
    def _factory_assets(self) -> list[WatchedAsset]:
        return [asset for definition in self._definitions if (asset := find_watched(definition)) is not None]

    def _user_assets(self, resource_keys: set[str]) -> Iterator[WatchedAsset]:
        known = {id(asset.executed) for asset in self._factory_assets}
        for definition in self._definitions:
            used = sorted(resource_keys & set(definition.required_resource_keys))
            if id(definition) not in known and used and definition.keys and definition.is_executable:
                # The ledger entries of such an asset say which kind of run it is.
                yield WatchedAsset(definition, RemoteAsset(_AnyRun, RunOptions(), used[0], None))

    def runs_with(self, resource_key: str) -> list[RemoteRun[Any]]:
        """Returns the runs of all assets that use a resource, as far as they do not depend on the step."""
        assets = (asset for asset in self._factory_assets if asset.remote.resource_key == resource_key)
        return [asset.remote.run for asset in assets if asset.remote.run is not None]

    def resource(self, key: str) -> RemoteRunResource | str:
        """Returns a vendor's resource, or in one line, why it cannot be used."""
        if key not in self._resources:
            own: dict[str, dg.ResourceDefinition] = {}
            for asset in self._factory_assets:
                if asset.remote.resource_key == key:
                    own = dict(asset.executed.resource_defs)
                    break
            try:
                found = initialize(key, self.context, self._stack, own=own)
            except Exception as error:  # noqa: BLE001 - Dagster's, pydantic's, or of the resource's own code
                self._resources[key] = _explained(reason_of(error))
            else:
                is_vendors = isinstance(found, RemoteRunResource)
                self._resources[key] = (
                    found if is_vendors else f"it is a {type(found).__name__}, not a vendor's resource"
                )
        return self._resources[key]


def _explained(reason: str) -> str:
    """Returns Dagster's message for a variable that is not set in the words of this package; others unchanged."""
    found = _UNSET_VARIABLE.search(reason)
    if found is None:
        return reason
    return (
        f"{found['field']}: the environment variable {found['name']} is not set; set it where this command runs, and "
        "in the environment of the code location and of its runs"
    )


def open_instance(*, is_required: bool) -> dg.DagsterInstance:
    """Returns the Dagster instance.

    Args:
        is_required: Whether the command needs its event log. Otherwise, a temporary one is enough.

    Raises:
        Unusable: It is required, and ``DAGSTER_HOME`` is not set, or the instance cannot be opened.
    """
    if not os.environ.get("DAGSTER_HOME"):
        if not is_required:
            return dg.DagsterInstance.ephemeral()
        raise Unusable(
            "DAGSTER_HOME is not set, so it is unknown which Dagster instance to read. Set it to the folder of your "
            "dagster.yaml. (dagster dev without DAGSTER_HOME stores its runs in a folder .tmp_dagster_home_… here.)"
        )
    try:
        return dg.DagsterInstance.get()
    except Exception as error:  # noqa: BLE001 - each storage has its own errors
        raise Unusable(f"The Dagster instance in DAGSTER_HOME cannot be opened: {reason_of(error)}") from None


@contextmanager
def code_locations(options: Mapping[str, Any], *, needs_instance: bool) -> Iterator[list[CodeLocation]]:
    """Loads the definitions that the options name, or else those of the current project.

    Args:
        options: The values of `definitions_options`.
        needs_instance: Whether the command needs the event log of the instance.

    Raises:
        Unusable: There are no definitions, or they cannot be loaded.
    """
    given = WorkspaceOpts.extract_from_cli_options({name: value or None for name, value in options.items()})
    enter_surroundings(options)
    with open_instance(is_required=needs_instance) as instance, ExitStack() as stack:
        found = [stack.enter_context(location) for location in _load(given, instance)]
        if not found:
            raise Unusable("No code location could be loaded into this Python. Pass -m, -f or -w to name another one.")
        yield found


def enter_surroundings(options: Mapping[str, Any]) -> None:
    """Changes to the project's folder, unless options name the definitions, and sets the variables of its ``.env``."""
    if not any(options.values()):
        _enter_project()
    os.environ.update(dagster_private.variables_in_env_file(os.getcwd()))


def _load(options: WorkspaceOpts, instance: dg.DagsterInstance) -> Iterable[CodeLocation]:
    targets = dagster_private.code_location_targets(options)
    if not targets:
        raise Unusable("The project has no code location. Run the command inside a project, or pass -m, -f or -w.")
    for target in targets:
        if target.origin is None:
            progress(f"{target.name} is left out: it is a running code server. Name its module or file instead.")
            continue
        if target.executable is not None:
            progress(f"{target.name} is left out: it uses {target.executable}. Run dagster-runs with that Python.")
            continue
        instance.inject_env_vars(target.name)
        try:
            repositories = dagster_private.load_repositories(target)
        except Exception as error:  # noqa: BLE001 - of the user's code, too
            raise Unusable(f"The definitions of {target.name} cannot be loaded: {reason_of(error)}") from None
        for repository in repositories.values():
            yield CodeLocation(target.name, repository, instance)


def _enter_project() -> None:
    """Changes to the nearest folder with a project's or a workspace's file, as `dg` finds its project."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        for name in _PROJECT_FILES:
            file = folder / name
            if file.is_file() and (name != "pyproject.toml" or _names_definitions(file)):
                os.chdir(folder)
                return


def _names_definitions(file: Path) -> bool:
    text = file.read_text(errors="replace")
    return any(line.strip().startswith(("[tool.dagster", "[tool.dg")) for line in text.splitlines())
