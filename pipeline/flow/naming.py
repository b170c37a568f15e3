"""The names of the columns of an output, after ``--rename``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import UsageError
from pipeline.units import escape, nearest

_CLASH = "the output has a column of that name already, made by this job"


def output_names(kept: Sequence[str], made: Sequence[str], rename: Mapping[str, str]) -> list[str]:
    """Return the names of the columns of an output: the kept ones, then those that the job makes.

    Where a kept column has the name of one that is made, a new name is that of the kept one.

    Raises
    ------
    UsageError
        A column to rename is not in the output, or two columns would have one name.
    """
    for old, new in rename.items():
        if old not in kept and old not in made:
            near = nearest(old, [*kept, *made])
            message = f"--rename {_pair(old, new)}: the output has no column {escape(old)}{near}"
            several = "=" in old and "," in old
            raise UsageError(message, "repeat --rename for each" if several else "name a column that is kept or made")
        if not new:
            raise UsageError(f"--rename {_pair(old, new)}: the new name is empty", "write OLD=NEW")
    names = [rename.get(name, name) for name in kept]
    names += [name if name in kept else rename.get(name, name) for name in made]
    before, origin = set[str](), [*kept, *made]
    for position, (name, old) in enumerate(zip(names, origin, strict=True)):
        if name in before:
            raise _taken(name, old, names.index(name), position, kept, rename)
        before.add(name)
    return names


def _taken(
    name: str, old: str, first: int, position: int, kept: Sequence[str], rename: Mapping[str, str]
) -> UsageError:
    """Return the error for a name that two columns of the output would have."""
    pairs = [_pair(each, new) for each, new in rename.items() if new == name != each]
    if pairs:
        return UsageError(
            f"--rename {pairs[-1]}: the output has another column {escape(name)}", "choose a name that is not taken"
        )
    if position < len(kept):
        return UsageError(f"--keep {escape(name)}: named twice", "name each column once")
    if first < len(kept):
        remedy = f"add --rename {escape(name)}=NEW, which renames the kept column, or leave it out of --keep"
        return UsageError(f"--keep {escape(name)}: {_CLASH}", remedy)
    return UsageError(f'two columns of the output are called "{escape(old)}"', "give one of them another name")


def _pair(old: str, new: str) -> str:
    return f"{escape(old)}={escape(new)}"
