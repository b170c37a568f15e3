"""Names for the columns of a CSV that its header does not tell apart: those that pandas gives them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pandas_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return a different name for each column, as ``pandas.read_csv`` does.

    A column without a name is called ``Unnamed: 3`` by its number, from 0; the second column ``x`` is called ``x.1``.
    Where the header has such a name already, the next free number is taken. Names of the header come before those of
    columns that have none.
    """
    names = [name or f"Unnamed: {number}" for number, name in enumerate(header)]
    there, taken = Counter(names), defaultdict[str, int](int)
    blank = [number for number, name in enumerate(header) if not name]
    for number in (*(number for number, name in enumerate(header) if name), *blank):
        name, found, count = names[number], names[number], taken[names[number]]
        while count > 0:
            taken[name] = count + 1
            found = f"{name}.{count}"
            count = count + 1 if there[found] else taken[found]
        there[name] -= 1
        there[found] += 1
        names[number] = found
        taken[found] = count + 1
    return tuple(names)
