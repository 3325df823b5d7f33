"""The specs of a component's entries. One that only the vendor's names make impossible never stops loading."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dagster_runs.components.run_entry import RunEntry
from dagster_runs.components.templates import located

_logger = logging.getLogger(__name__)


def specs_of(
    entries: Sequence[RunEntry], spec_of: Callable[[RunEntry], dg.AssetSpec]
) -> list[tuple[RunEntry, dg.AssetSpec]]:
    """Returns the entries with the specs of their assets.

    A discovered entry whose spec cannot be built, for example because a template makes a tag of its title, is left out
    with a warning. If all of them are impossible, and not because of their names, the error is in YAML or in code.

    Args:
        entries: The entries.
        spec_of: Returns the spec of an entry. A user's subclass may raise anything in it.

    Raises:
        DagsterInvalidDefinitionError: The spec of a listed entry is impossible. The message names the line.
    """
    found: list[tuple[RunEntry, dg.AssetSpec]] = []
    impossible: list[tuple[RunEntry, Exception]] = []
    for entry in entries:
        try:
            found.append((entry, spec_of(entry)))
        except Exception as error:
            if not entry.is_discovered:
                raise
            impossible.append((entry, error))
    if impossible and not any(entry.is_discovered for entry, _ in found):
        first, problem = impossible[0]
        try:
            spec_of(first.with_plain_names())
        except Exception:  # noqa: BLE001 - a user's subclass may raise anything
            raise problem from None
    for entry, problem in impossible:
        _logger.warning(
            "%s is left out: %s. Exclude it, or change how its asset is described. In translation, `props.name` has "
            "only characters that are possible everywhere.",
            *(entry.description, _first_line(problem)),
        )
    return found


def _first_line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0].rstrip(".")
    return text if isinstance(error, dg.DagsterError) else f"{type(error).__name__}: {text}"


@dataclass
class Places:
    """The keys of assets and the names of ops that are taken.

    Attributes:
        by_key: The contexts of the entries, by the key of their asset.
        by_op: The same, by the name of the op.
    """

    by_key: dict[dg.AssetKey, dg.ResolutionContext] = field(default_factory=dict)
    by_op: dict[str, tuple[dg.AssetKey, dg.ResolutionContext]] = field(default_factory=dict)

    def unique(self, found: Sequence[tuple[RunEntry, dg.AssetSpec]]) -> Iterator[tuple[RunEntry, dg.AssetSpec]]:
        """Returns the entries that can be in one code location, and warns about discovered ones that cannot.

        Raises:
            DagsterInvalidDefinitionError: A listed entry has the key or the op of another one. The message names the
                line.
        """
        for entry, spec in found:
            problem = self._problem(entry, spec.key)
            if problem is None:
                self.by_key[spec.key] = entry.context
                self.by_op[entry.op_name(spec.key)] = (spec.key, entry.context)
                yield entry, spec
            elif entry.is_discovered:
                # A new name at the vendor must not stop the code location.
                _logger.warning(
                    "%s is left out, because %s. Use a template for the key that differs for each, or exclude it.",
                    *(entry.description, problem),
                )
            else:
                raise located(entry.context.at_path("key"), problem)

    def _problem(self, entry: RunEntry, key: dg.AssetKey) -> str | None:
        if key in self.by_key:
            return f"{key.to_user_string()} is already the key of {_place(self.by_key[key])}; {_ONE_KEY}"
        op_name = entry.op_name(key)
        if op_name in self.by_op:
            other, context = self.by_op[op_name]
            return (
                f"the op of {key.to_user_string()} would have the same name ({op_name}) as that of "
                f"{other.to_user_string()} in {_place(context)}; set the field name on one of the two, or choose keys "
                "that differ not only in '-', '.', '/' and '_'"
            )
        return None


def _place(context: dg.ResolutionContext) -> str:
    tree = context.source_position_tree
    path = list(context.path)
    position = "" if tree is None else f" (line {tree.lookup_closest_and_path(path, None)[0].start.line})"
    return ".".join(str(part) for part in path) + position


_ONE_KEY = "two assets cannot have one key"
