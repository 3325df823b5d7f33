"""What discovery found at a TestGen server, as Dagster stores it as the component's state. It contains no secrets."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import dagster as dg
from pydantic import BaseModel, ValidationError

from dagster_runs.remote_run.data_tests import SuiteTable, SuiteTest
from dagster_runs.transport.clock import current_clock
from dagster_runs.transport.url import trimmed
from dagster_runs.vendors.testgen.lists import catalog

_logger = logging.getLogger(__name__)


class Server(BaseModel):
    """The server that the state was fetched from.

    Attributes:
        shape: The version of the API whose lists were read.
        version: The version that the server reports, if any.
        address: Its host and path, without credentials; ``None`` in a state from before this was stored.
    """

    shape: str
    version: str | None = None
    address: str | None = None


class Found(BaseModel):
    """The suites and table groups of a project.

    Attributes:
        version: The version of this format.
        fetched_at: When they were fetched.
        server: The server.
        project_code: The project.
        suites: All suites, before any are included or excluded. New ones come last, so that what depends on their order
            does not change for the others.
        table_groups: All table groups.
        names: The names in the keys of the assets, by the kind and the id without case.
        tests: The tests of the suites with ``checks``, according to the latest run of each that has any, by the suite's
            id without case. A suite without such a run is not in it.
        tables: The same for the tables of the table groups with ``checks``, by the table group's id.
        runs: The latest run of each of these suites and table groups when its tests or tables were read, by its id.
    """

    version: Literal[1] = 1
    fetched_at: datetime
    server: Server
    project_code: str
    suites: list[catalog.ListedSuite]
    table_groups: list[catalog.ListedTableGroup]
    names: dict[str, dict[str, str]] = {}
    tests: dict[str, list[SuiteTest]] = {}
    tables: dict[str, list[SuiteTable]] = {}
    runs: dict[str, str] = {}

    def is_of(self, project_code: str | None, address: str) -> bool:
        """Whether this is the state of a project of a server."""
        return self.project_code == project_code and self.server.address in (None, address)

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


def write(path: Path, state: Found | Unavailable) -> None:
    """Writes the state. A reader sees either the earlier state or this one, also if the process is killed."""
    # Not from `tempfile`, whose files only this user can read, and an image may be built by another one.
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
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
    except ValidationError as error:
        return Unavailable(problem=f"the stored state cannot be read: {_what_is_wrong(stored, error)}")
    except (OSError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        return Unavailable(problem=f"the stored state cannot be read: {first}")


def _what_is_wrong(stored: object, error: ValidationError) -> str:
    version, known = (
        (stored.get("version", 1) if isinstance(stored, dict) else 1),
        Found.model_fields["version"].default,
    )
    if version != known:
        return f"it has version {str(version)[:20]} of the format, and this version of dagster-runs reads {known}"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else first["msg"]


def read_earlier(path: Path, key: str) -> Found | None:
    """Returns the state that a new one replaces; ``None`` if there is none, or if it cannot be read.

    Args:
        path: Where the new state will be written. Dagster leaves the earlier one there if the project has it.
        key: The key of the state, if Dagster's storage has it.
    """
    if path.exists():
        state = read(path)
        return state if isinstance(state, Found) else None
    # Dagster exports only this class of storages. This method returns the current storage of any class.
    storage = dg.UPathDefsStateStorage.get()
    try:
        version = storage.get_latest_version(key) if storage is not None else None
        if storage is None or version is None:
            return None
        with TemporaryDirectory() as folder:
            storage.download_state_to_path(key, version, Path(folder) / "state")
            state = read(Path(folder) / "state")
    except Exception as error:  # noqa: BLE001 - a storage may raise anything, and nothing in the state is indispensable
        _logger.info("The earlier state %s cannot be read: %s", key, error)
        return None
    return state if isinstance(state, Found) else None


def address_of(base_url: str) -> str:
    """Returns the host and path of a server, without credentials, which are the same for each spelling of its URL."""
    parts = urlsplit(trimmed(base_url, "/api/v1"))
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.hostname or ''}{port}{parts.path.rstrip('/')}"
