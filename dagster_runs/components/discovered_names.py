"""The names of what is discovered, which asset keys end in, and which must not change when other things are added."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_SHORT = 8
"""The number of characters of an id that distinguish two equal names."""


def lasting_names(named: Iterable[tuple[str, str]], kept: Mapping[str, str]) -> dict[str, str]:
    """Returns a name for each id that can be part of an asset key.

    An id keeps the name that it has. A new one whose name is equal to another one gets a part of its id. New ones do
    not depend on their order.

    Args:
        named: The ids with their names at the vendor.
        kept: The names that ids have already, by the id without case. All of them are in the result.
    """
    names = dict(kept)
    new = {id.casefold(): _cleaned(name) for id, name in named if id.casefold() not in kept}
    times = Counter([*kept.values(), *new.values()])
    names.update({id: name for id, name in new.items() if name and times[name] == 1})
    taken = set(names.values())
    for id in sorted(new.keys() - names.keys()):
        short = _cleaned(f"{new[id]}_{id[:_SHORT]}")
        names[id] = _cleaned(f"{new[id]}_{id}") if short in taken else short
        taken.add(names[id])
    return names


def _cleaned(name: str) -> str:
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
