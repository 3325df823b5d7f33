"""Projects with YAML files, as `dg` lays them out, loaded in this process."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster.components.testing.utils import DefsFolderSandbox, create_defs_folder_sandbox

from dagster_runs.sandbox import Sandbox, well_known


@dataclass
class Project:
    """A project whose `defs` folder has the files that a test writes."""

    sandbox: DefsFolderSandbox

    @property
    def defs_folder(self) -> Path:
        return self.sandbox.defs_folder_path

    def write(self, yaml: str, folder: str = "runs") -> Path:
        path = self.defs_folder / folder / "defs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(yaml))
        return path

    @contextmanager
    def loaded(self) -> Iterator[dg.Definitions]:
        with self.sandbox.build_all_defs() as defs:
            yield defs

    def load(self) -> dg.Definitions:
        with self.loaded() as defs:
            dg.Definitions.validate_loadable(defs)
            return defs

    def error(self) -> str:
        """Returns the error on loading, with the paths of files without their folder."""
        with pytest.raises(Exception) as raised, self.loaded() as defs:  # noqa: PT011
            dg.Definitions.validate_loadable(defs)
        return str(raised.value).replace(f"{self.defs_folder}/", "")


@contextmanager
def loading() -> Iterator[None]:
    """Loads definitions as the start of a code location does, and not as a step."""
    before = DefinitionsLoadContext.get()
    DefinitionsLoadContext.set(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION))
    try:
        yield
    finally:
        DefinitionsLoadContext.set(before)


def component_in(project: Project, folder: str = "runs") -> Any:
    """Returns the component of a folder."""
    with project.sandbox.build_component_tree() as tree:
        # Dagster 1.12.0 has only the older name.
        load = getattr(tree, "load_component", None) or getattr(tree, "load_component_at_path", None)
        return load(project.defs_folder / folder)


@contextmanager
def new_project() -> Iterator[Project]:
    with create_defs_folder_sandbox() as sandbox:
        yield Project(sandbox)


def sandbox_variables(sandbox: Sandbox) -> Mapping[str, str]:
    """Returns the environment variables that the YAML of these tests reads."""
    return {
        "AMPERITY_ACCESS_TOKEN": well_known.AMPERITY_TOKEN,
        "AMPERITY_TENANT": well_known.AMPERITY_TENANT,
        "PROPHECY_ACCESS_TOKEN": well_known.PROPHECY_TOKEN,
        "RUDDERSTACK_ACCESS_TOKEN": well_known.RUDDERSTACK_TOKEN,
        "SEGMENTFLOW_API_KEY": well_known.SEGMENTFLOW_API_KEY,
        "TESTGEN_TOKEN": well_known.TESTGEN_TOKEN,
        "SANDBOX_EU_URL": sandbox.url,
        "SANDBOX_URL": sandbox.url,
        "TESTGEN_URL": f"{sandbox.url}/testgen",
    }


class Log(logging.Handler):
    """The warnings of the package."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    @property
    def text(self) -> str:
        return "\n".join(self.messages)
