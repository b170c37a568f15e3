"""Checks that imports follow the rooms: down the levels, never sideways, and each third-party package in its room.

    python .ci/layers.py [ROOT]

Reads every file of ``pipeline`` and ``jobs`` without importing it. Prints one line for each import that a room may not
make and ends with 1, or with 0 where there is none.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Room:
    """What the files of a room may import.

    Attributes
    ----------
    level : int
    packages : tuple of str
        Third-party packages; a dotted name allows that module and what lies below it.
    rooms : tuple of str
        Rooms of ``pipeline``.
    typing : tuple of str
        Third-party packages under ``if TYPE_CHECKING`` alone.
    late : tuple of str
        Modules imported in the function that needs them and nowhere else: optional packages, engines to choose from.
    lazy : bool
        Whether every import may stand in a function.
    without : tuple of str
        Modules of the standard library that the room may not use all the same.
    """

    level: int
    packages: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    typing: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    lazy: bool = False
    without: tuple[str, ...] = ()


PUBLIC = "pipeline"
JOBS = "jobs"
COMPUTED = "a computed name"
# Known to type checkers alone.
STUBS = "_typeshed"

GROUND = ("errors", "units", "choices", "canonical", "types", "disk")
BELOW = (*GROUND, "plan", "memory")
ROOMS_BELOW_FLOW = (*BELOW, "registry", "kernels", "sources", "models", "sinks", "execute", "publish", "report")
BY_VALUE = "distributed.protocol.pickle"
ENGINES = ("pipeline.execute.local", "pipeline.execute.processes", "pipeline.execute.cluster")

ROOMS = {
    JOBS: Room(
        9,
        ("click", "rich", "pydantic"),
        (
            PUBLIC,
            "interface",
            "inspection",
            "verification",
            "upkeep",
            "bench",
            "drawing",
            "flow",
            "report",
            "publish",
            "memory",
            "grammar",
            "registry",
            *GROUND,
        ),
        lazy=True,
    ),
    PUBLIC: Room(
        8,
        (),
        ("interface", "arrays", "stream", "inspection", "verification", "upkeep", "flow", *ROOMS_BELOW_FLOW),
        lazy=True,
    ),
    "arrays": Room(7, ("dask", "numpy", "pyarrow"), ("interface", "flow", *ROOMS_BELOW_FLOW)),
    "interface": Room(7, (), ("flow", *ROOMS_BELOW_FLOW)),
    "bench": Room(7, ("numpy",), ("arrays", "memory", "registry", *GROUND), late=("scipy", "torch")),
    "drawing": Room(7, ("numpy",), ("arrays", "registry", *GROUND), late=("matplotlib",)),
    "sklearn": Room(8, ("numpy", "sklearn"), ("arrays", *ROOMS_BELOW_FLOW)),
    "stream": Room(7, ("numpy", "pyarrow"), ("interface", "flow", "grammar", *ROOMS_BELOW_FLOW)),
    "inspection": Room(7, ("pyarrow",), ("flow", *ROOMS_BELOW_FLOW)),
    "verification": Room(7, (), ("flow", *ROOMS_BELOW_FLOW)),
    "upkeep": Room(7, (), ("flow", *ROOMS_BELOW_FLOW)),
    "flow": Room(6, ("numpy", "pyarrow"), ROOMS_BELOW_FLOW),
    "sources": Room(5, ("numpy", "pyarrow"), BELOW),
    "models": Room(
        5,
        ("numpy", "pyarrow", "pydantic", "pydantic_core"),
        (*BELOW, "kernels", "grammar", "registry"),
        late=("sklearn",),
    ),
    "sinks": Room(5, ("numpy", "pyarrow"), BELOW),
    "execute": Room(5, ("dask", "distributed", "numpy"), BELOW, late=(*ENGINES, BY_VALUE)),
    "publish": Room(5, (), BELOW),
    "publish.local": Room(4, (), (*GROUND, "publish.layout", "publish.store", "publish.facts", "publish.record")),
    "publish.layout": Room(4, (), (*GROUND, "publish.store", "publish.facts", "publish.record")),
    "publish.store": Room(4, (), ("choices", "types", "publish.facts", "publish.record")),
    "publish.facts": Room(4, (), ("types", "publish.record")),
    "publish.record": Room(3, (), ("canonical", "errors", "types", "units"), without=("os", "pathlib", "io", "shutil")),
    "report": Room(5, (), BELOW),
    "kernels": Room(4, ("numpy",), ("registry", *GROUND)),
    "plan": Room(3, ("numpy",), GROUND),
    "memory": Room(3, ("numpy", "psutil"), ("plan", *GROUND)),
    "grammar": Room(2, (), ("errors", "units", "registry")),
    "registry": Room(2, (), ("units",)),
    "types": Room(2, ("numpy",), ("errors", "units", "choices"), typing=("pyarrow",)),
    "disk": Room(2, (), ("errors", "units")),
    "choices": Room(1, (), ("errors", "units")),
    "canonical": Room(1),
    "units": Room(1, (), ("errors",)),
    "errors": Room(1),
}
# Rooms in a room, by their full names. Outside it nobody imports them: its own ``__init__`` is its face.
INNER = tuple(name for name in ROOMS if "." in name)


@dataclass(frozen=True, slots=True)
class Import:
    """One module that a file imports. ``lazy``: in a function; ``typing``: under ``if TYPE_CHECKING``."""

    line: int
    module: str
    lazy: bool
    typing: bool


def imports(tree: ast.Module, package: str, rooms: Sequence[str]) -> Iterator[Import]:
    """Yield every import of a parsed file, relative ones resolved against its package.

    ``from pipeline import flow`` is the room ``pipeline.flow``; ``from pipeline import score`` is ``pipeline``.
    """

    def visit(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            lazy = True
        for module in dict.fromkeys(_modules(node, package, rooms)):
            yield Import(getattr(node, "lineno", 0), module, lazy, typing)
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        other = node.orelse if isinstance(node, ast.If) else []
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy, typing or (guarded and child not in other))

    yield from visit(tree, lazy=False, typing=False)


def _modules(node: ast.AST, package: str, rooms: Sequence[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
        module = ".".join(filter(None, (base, node.module)))
        for alias in node.names:
            name = f"{module}.{alias.name}"
            yield name if name.removeprefix(f"{PUBLIC}.") in rooms else module
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
        argument = node.args[0] if node.args else None
        yield str(argument.value) if isinstance(argument, ast.Constant) else COMPUTED


def room_of(path: Path) -> str:
    """Return the room of a file, given relative to the root: ``jobs``, ``pipeline`` or a name below it."""
    if path.parts[0] == JOBS:
        return JOBS
    name = path.parts[1].removesuffix(".py")
    return PUBLIC if name == "__init__" else _named(".".join(path.with_suffix("").parts[1:]))


def _named(module: str) -> str:
    """Return the room of a module of ``pipeline``, by its name below it."""
    inner = (room for room in INNER if module == room or module.startswith(f"{room}."))
    return next(inner, module.partition(".")[0])


def fault(name: str, found: Import) -> str:
    """Return why a room may not make an import; empty where it may."""
    room = ROOMS[name]
    top = found.module.split(".")[0]
    if _is_free(room, found, top):
        return ""
    if found.module == COMPUTED:
        return "write an import statement"
    if _allows(room.late, found.module):
        return "" if found.lazy else "import it in the function that needs it"
    why = _own_fault(name, found) if top in {PUBLIC, JOBS} else _package_fault(name, found)
    return why or ("imports stand at the top of the file" if found.lazy and not room.lazy else "")


def _is_free(room: Room, found: Import, top: str) -> bool:
    if _allows(room.without, found.module):
        return False
    return top in sys.stdlib_module_names or (found.typing and top == STUBS) or (found.module == COMPUTED and room.lazy)


def _own_fault(name: str, found: Import) -> str:
    top, _, rest = found.module.partition(".")
    target = _named(rest) if top == PUBLIC and rest else top
    # The face of a room may import every room in it.
    if target == name or target.startswith(f"{name}."):
        return ""
    if target == JOBS:
        return f"{PUBLIC} never imports {JOBS}"
    face, _, inner = target.partition(".")
    if inner and name.partition(".")[0] != face:
        return f"import {PUBLIC}.{face}, the face of that room"
    if target not in ROOMS[name].rooms:
        return f"{name} may use {_listed(ROOMS[name].rooms, 'no other room')} of {PUBLIC}"
    if name == PUBLIC and not (found.lazy or found.typing):
        return "public names are loaded when asked for: import in __getattr__ or under TYPE_CHECKING"
    return ""


def _package_fault(name: str, found: Import) -> str:
    room = ROOMS[name]
    if _allows(room.without, found.module):
        return f"{name} may not use {found.module}"
    if _allows(room.packages, found.module) or (found.typing and _allows(room.typing, found.module)):
        return ""
    return f"{name} may use {_listed(room.packages, 'the standard library alone')}"


def _allows(names: Sequence[str], module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _listed(names: Sequence[str], nothing: str) -> str:
    return ", ".join(sorted(names)) if names else nothing


def check(root: Path) -> list[str]:
    """Return one line for each import under a root that the table does not allow."""
    lines = []
    for path in sorted((root / PUBLIC).rglob("*.py")) + sorted((root / JOBS).rglob("*.py")):
        relative = path.relative_to(root)
        name = room_of(relative)
        if name not in ROOMS:
            lines.append(f"{relative}:1: {name} is no room of the table in .ci/layers.py")
            continue
        package = ".".join(relative.parent.parts)
        found = imports(ast.parse(path.read_bytes(), str(path)), package, tuple(ROOMS))
        faults = ((each, fault(name, each)) for each in found)
        lines += [f"{relative}:{each.line}: imports {each.module}: {why}" for each, why in faults if why]
    return lines


def main(arguments: Sequence[str]) -> int:
    """Print what is wrong under the root that is named, or under this checkout."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    lines = check(root)
    print("\n".join(lines) or f"imports follow the rooms ({len(ROOMS)} of them)")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
