"""The YAML files of a project, and the classes of the components in them."""

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

FILES = ("defs.yaml", "defs.yml", "component.yaml")

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, if PyYAML has it. Dagster's own parser records positions, and takes ten times as long."""
_TYPE = re.compile(r"\btype[\"']?\s*:\s*[\"']?([\w.]+)")


def component_files(root: Path) -> Iterator[Path]:
    """Yields the file of each component folder below a folder, in the order of the folders' paths."""
    for folder in sorted({file.parent for name in FILES for file in root.rglob(name)}):
        file = file_in(folder)
        if file is not None:
            yield file


def names_class(file: Path, base: type) -> bool:
    """Whether a file names a class or a subclass as a type, perhaps only in a comment."""
    names = set(_TYPE.findall(file.read_text(encoding="utf-8")))
    return any(issubclass(found, base) for name in names if (found := class_named(name)) is not None)


def file_in(folder: Path) -> Path | None:
    """Returns the file of a component folder."""
    return next((folder / name for name in FILES if (folder / name).exists()), None)


def documents_in(file: Path) -> list[Any]:
    """Returns the documents of a file; none if it is not valid YAML, which Dagster reports."""
    try:
        return list(yaml.load_all(file.read_text(encoding="utf-8"), _Loader))
    except yaml.YAMLError:
        return []


def repeated_fields(file: Path, document: int) -> Sequence[tuple[str, int]]:
    """Returns the fields that a mapping in a document has twice, with the line. Dagster reads the last one of each."""
    found = _repeated(file.read_text(encoding="utf-8"))
    return found[document] if document < len(found) else ()


@lru_cache(maxsize=1)
def _repeated(text: str) -> Sequence[Sequence[tuple[str, int]]]:
    """Returns the same for all documents of a file, which may have a component in each."""
    return [list(_repeated_below(node)) for node in composed(text)]


def composed(text: str) -> Sequence[Any]:
    """Returns the node of each document, with its position; none if the text is not valid YAML."""
    try:
        return list(yaml.compose_all(text, _Loader))
    except yaml.YAMLError:
        return []


def nodes_below(root: Any) -> Iterator[Any]:
    """Yields a node and all nodes below it, those of aliases at their anchors included."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # an alias of an anchor
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            nodes += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def _repeated_below(document: Any) -> Iterator[tuple[str, int]]:
    for node in nodes_below(document):
        names = set[str]()
        for name, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            text = str(name.value)
            if text in names and text != "<<":
                yield text, name.start_mark.line + 1
            names.add(text)


def class_named(name: str) -> type | None:
    """Returns the class that the ``type`` of a component names; ``None`` if there is none, which Dagster reports.

    Only modules that can have subclasses of this package's components are imported. Dagster imports them anyway.
    """
    module, _, own_name = name.rpartition(".")
    package = module.partition(".")[0]
    if not module or (package.startswith("dagster") and package != __package__.partition(".")[0]):
        return None
    try:
        found = getattr(sys.modules.get(module) or import_module(module), own_name, None)
    except Exception:  # noqa: BLE001 - the module may raise anything
        return None
    return found if isinstance(found, type) else None
