"""The resource keys of components, so that several workspaces of one vendor work in one code location."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs.components.component_files import class_named, component_files, documents_in, names_class
from dagster_runs.components.templates import located, position_of

_Place = tuple[Path, int]
"""The folder of a component, and the number of its document in the file."""


class _Project:
    """What is known about the components of a project that is being loaded.

    Attributes:
        tree: Dagster's tree of its components.
        places: The places of the components of each base class that set no ``resource_key``, according to the files.
            Reading these for each component would take long in a large project.
        keys: The resource keys of the components that have been loaded, with the contexts of the field.
    """

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self.places: dict[type, list[_Place]] = {}
        self.keys: dict[_Place, tuple[str, dg.ResolutionContext]] = {}


_newest: list[_Project] = []
"""The project that was loaded last."""


def default_resource_key(vendor_key: str, base: type, context: dg.ComponentLoadContext) -> str:
    """Returns the resource key of a component that sets none.

    The first component of its vendor in the project, in the order of the folders' paths, has the vendor's key. Each
    other one has the vendor's key with the path of its folder. So the key depends only on the files of the project, and
    not on the order in which Dagster loads them.

    Args:
        vendor_key: The vendor's key.
        base: The vendor's component, of which the component's class may be a subclass.
        context: The context in which the component is loaded.
    """
    place, project = _place(context), _project(context)
    if base not in project.places:
        project.places[base] = list(_places(context.defs_module_path, base))
    if not project.places[base] or project.places[base][0] == place:
        return vendor_key
    root, folder = context.defs_module_path, place[0]
    relative = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    number = f"_{place[1] + 1}" if place[1] else ""
    return re.sub(r"\W+", "_", f"{vendor_key}_{relative}{number}").strip("_")


def claim_resource_key(key: str, attributes: dg.ResolutionContext, context: dg.ComponentLoadContext) -> None:
    """Records the resource key of a component.

    Args:
        key: The key.
        attributes: The context at the path of its attributes.
        context: The context in which the component is loaded.

    Raises:
        DagsterInvalidDefinitionError: Another component has it. Dagster would not say which one.
    """
    place, keys = _place(context), _project(context).keys
    for other, (taken, theirs) in keys.items():
        if taken == key and other != place:
            raise located(
                attributes.at_path("resource_key"),
                f"{key} is also the resource key of the component at {position_of(theirs)}. Each component has its own "
                "resource, sensors and cancel job, so set resource_key to another name in one of the two",
            )
    keys[place] = (key, attributes.at_path("resource_key"))


def _place(context: dg.ComponentLoadContext) -> _Place:
    path = context.component_path
    return path.file_path, path.instance_key if isinstance(path.instance_key, int) else 0


def _project(context: dg.ComponentLoadContext) -> _Project:
    if not _newest or _newest[0].tree is not context.component_tree:
        _newest[:] = [_Project(context.component_tree)]
    return _newest[0]


def _places(root: Path, base: type) -> Iterator[_Place]:
    for file in component_files(root):
        for number, document in enumerate(documents_in(file) if names_class(file, base) else ()):
            found = class_named(str(document.get("type", ""))) if isinstance(document, dict) else None
            if found is not None and issubclass(found, base):
                attributes = document.get("attributes")
                if not isinstance(attributes, dict) or not attributes.get("resource_key"):
                    yield file.parent, number
