"""The assets of a project that a component sees while it is loaded: those of other folders and Python files.

A component sees neither its own folder nor folders with a component of the same type or a subclass, because each of
these could search for the assets of the other one. What the `post_processing` of a folder above changes is not seen
either.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_runs.components.component_files import component_files, names_class
from dagster_runs.table_checks.code_location import specs_in

_searching: list[Path] = []
"""The folders of the components that are searching for assets right now."""


class SearchesInCircle(ValueError):
    """Two components need the assets of each other."""


def visible_specs(context: dg.ComponentLoadContext, base: type, folders: Sequence[str] | None) -> list[dg.AssetSpec]:
    """Returns the specs of the assets that a component sees.

    Args:
        context: The context in which the component is loaded.
        base: The class of components whose folders the component does not see, with its subclasses.
        folders: The folders and Python files to read, from the folder `defs` on; ``None`` for all.

    Raises:
        ValueError: A folder has no definitions.
        SearchesInCircle: The component of a folder is itself searching for the assets of this one.
    """
    root, own = context.defs_module_path, context.component_path.file_path
    if own in _searching:
        names = " and ".join(_relative(one, root) for one in _searching)
        raise SearchesInCircle(
            f"the components in {names} search for each other's assets. "
            "Name the folders with the assets of the tables in table_keys.components"
        )
    places = _others(root, own, base) if folders is None else _named(root, folders)
    found: dict[dg.AssetKey, dg.AssetSpec] = {}
    _searching.append(own)
    try:
        for place in places:
            if _is_defined(context, place):
                found.update({spec.key: spec for spec in specs_in(_definitions_at(context, place))})
            elif folders is not None:
                raise ValueError(f"components: in the folder defs, {_relative(place, root)} has no definitions")
    finally:
        _searching.pop()
    return list(found.values())


def _relative(place: Path, root: Path) -> str:
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)


def _named(root: Path, folders: Sequence[str]) -> Iterator[Path]:
    for folder in folders:
        yield root / folder


def _others(root: Path, own: Path, base: type) -> Iterator[Path]:
    level = own
    while level != root and level.is_relative_to(root):
        yield from _within(level.parent, base, without=level)
        level = level.parent


def _within(folder: Path, base: type, *, without: Path | None = None) -> Iterator[Path]:
    for place in sorted(folder.iterdir()):
        if place == without or place.name.startswith((".", "__")):
            continue
        if place.is_dir() and _has_component(place, base):
            yield from _within(place, base)
        elif place.is_dir() or place.suffix == ".py":
            yield place


def _has_component(folder: Path, base: type) -> bool:
    return any(names_class(file, base) for file in component_files(folder))


def _definitions_at(context: dg.ComponentLoadContext, place: Path) -> dg.Definitions:
    # Dagster 1.12.0 has only the older name.
    build: Any = getattr(context, "build_defs", None) or getattr(context, "build_defs_at_path", None)
    definitions: dg.Definitions = build(place)
    return definitions


def _is_defined(context: dg.ComponentLoadContext, place: Path) -> bool:
    try:
        context.component_tree.find_decl_at_path(place)
    except Exception:  # noqa: BLE001 - Dagster raises no other class if there are no definitions
        return False
    return True
