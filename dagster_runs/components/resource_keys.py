"""The default resource key of a component, so that several workspaces of one vendor work in one code location."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

FILES = ("defs.yaml", "defs.yml", "component.yaml")

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, if PyYAML has it. Dagster's own parser records positions, and takes ten times as long."""

_Place = tuple[Path, int]
"""The folder of a component, and the number of its document in the file."""

_newest: list[tuple[Any, dict[str, list[_Place]]]] = []
"""The tree of components that was loaded last, and the places of the components of each class in its files.

Only those that set no ``resource_key``. Reading the files for each component would take long in a large project.
"""


def default_resource_key(vendor_key: str, class_name: str, context: dg.ComponentLoadContext) -> str:
    """Returns the resource key of a component that sets none.

    The first component of its class in the project, in the order of the folders' paths, has the vendor's key. Each
    other one has the vendor's key with the path of its folder. So the key depends only on the files of the project, and
    not on the order in which Dagster loads them.

    Args:
        vendor_key: The vendor's key.
        class_name: The name of the component's class.
        context: The context in which the component is loaded.
    """
    path = context.component_path
    folder, document = path.file_path, path.instance_key
    place = (folder, document if isinstance(document, int) else 0)
    if not _newest or _newest[0][0] is not context.component_tree:
        _newest[:] = [(context.component_tree, {})]
    found = _newest[0][1]
    if class_name not in found:
        found[class_name] = list(_places(context.defs_module_path, class_name))
    if not found[class_name] or found[class_name][0] == place:
        return vendor_key
    root = context.defs_module_path
    relative = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    number = f"_{place[1] + 1}" if place[1] else ""
    return re.sub(r"\W+", "_", f"{vendor_key}_{relative}{number}").strip("_")


def _places(root: Path, class_name: str) -> Iterator[_Place]:
    for folder in sorted({file.parent for name in FILES for file in root.rglob(name)}):
        file = next(folder / name for name in FILES if (folder / name).exists())
        text = file.read_text(encoding="utf-8")
        if class_name not in text:
            continue
        try:
            documents = list(yaml.load_all(text, _Loader))
        except Exception:  # noqa: BLE001, S112 - Dagster reports what is wrong with the file
            continue
        for number, document in enumerate(documents):
            if isinstance(document, dict) and str(document.get("type", "")).rpartition(".")[2] == class_name:
                attributes = document.get("attributes")
                if not isinstance(attributes, dict) or not attributes.get("resource_key"):
                    yield folder, number
