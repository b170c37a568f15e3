"""Checks that imports follow the rooms, and that ``disk`` is the one room that touches files.

Imports go down the levels, never sideways, and each third-party package has its room. The few that go up are listed.

The larger the level, the higher the room; a room knows none of its own level.

    python .ci/layers.py [ROOT]

Reads every file of ``pipeline`` and ``jobs`` without importing it. Prints one line for each import or call that a room
may not make and ends with 1, or with 0 where there is none.
"""

from __future__ import annotations

import ast
import re
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
        Modules imported in the function that needs them and nowhere else: optional packages, engines to choose from,
        what no command needs.
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
# Where the command starts: shipped as a module of its own, it finds the packages that are installed with it.
ENTRY = "jobs.logitstream"
COMPUTED = "a computed name"
# As free as the module of the standard library that it stands for.
DATACLASS = "pipeline.dataclass"
# Goes wherever Arrow may go, in place of a module that takes long to load.
COMPUTE, COSTLY = "pipeline.compute", "pyarrow.compute"
# Known to type checkers alone.
STUBS = "_typeshed"

GROUND = (
    *("errors", "units", "choices", "causes", "canonical", "formats"),
    *("logs", "process", "schedulers", "types", "disk", "version"),
)
BELOW = (*GROUND, "plan", "memory")
# Of level 5 without the readers: what scan alone may use.
MEANS = (*BELOW, "registry", "kernels", "models", "sinks", "execute", "publish", "report")
BY_VALUE = "distributed.protocol.pickle"
ENGINES = (
    *("pipeline.execute.local", "pipeline.execute.processes", "pipeline.execute.cluster.opening"),
    "pipeline.execute.cluster.outlook",
    *("pipeline.execute.starting", "pipeline.execute.configured", "pipeline.execute.certificates"),
)

ROOMS = {
    ENTRY: Room(91, late=("jobs.cli",)),
    JOBS: Room(
        90,
        ("click", "rich"),
        (
            *(PUBLIC, "interface", "training", "inspection", "modelling", "verification", "upkeep", "bench", "drawing"),
            *("diagnosis", "fitting", "evaluation", "measuring", "pages"),
            *("flow", "report", "memory", "grammar", "registry", "options", "compact", *GROUND),
        ),
        lazy=True,
    ),
    PUBLIC: Room(
        80,
        (),
        (
            *("interface", "training", "arrays", "stream", "inspection", "modelling", "verification", "upkeep"),
            *("diagnosis", "fitting", "evaluation", "measuring", "models", "networks", "registry", *GROUND),
        ),
        lazy=True,
    ),
    "sklearn": Room(80, ("numpy", "pyarrow", "sklearn"), ("arrays", "modelling", "fitting", *MEANS), late=("scipy",)),
    "stream": Room(75, ("numpy", "pyarrow"), ("interface", "options", "flow", "scan", "grammar", *MEANS)),
    "inspection": Room(75, ("numpy", "pyarrow"), ("options", "flow", "scan", *MEANS)),
    "diagnosis": Room(75, ("numpy", "pyarrow"), ("arguments", "options", "flow", "scan", *MEANS)),
    "verification": Room(75, ("numpy",), ("flow", "scan", *MEANS)),
    "measuring": Room(75, (), ("arguments", "options", "evaluation", "fitting", "scan", *MEANS)),
    "training": Room(75, (), ("arguments", "options", "fitting", *MEANS)),
    "upkeep": Room(75, (), ("flow", *MEANS)),
    "modelling": Room(
        75, (), ("arguments", "scan", *MEANS), late=("pipeline.conversion", "pipeline.models.network.making")
    ),
    "bench": Room(75, ("numpy",), ("arrays", "memory", "registry", *GROUND), late=("scipy", "torch")),
    "drawing": Room(75, ("numpy",), ("arrays", "registry", *GROUND), late=("matplotlib",)),
    "pages": Room(75, (), GROUND, late=("jinja2", "markupsafe")),
    "networks": Room(71, ("dask", "numpy"), ("kernels", *GROUND)),
    "arrays": Room(71, ("dask", "numpy", "pyarrow"), ("arguments", "interface", "options", "flow", "scan", *MEANS)),
    "interface": Room(70, (), ("arguments", "options", "flow", *MEANS)),
    "arguments": Room(65, (), ("options", "scan", *MEANS)),
    "evaluation": Room(62, ("numpy", "pyarrow"), ("fitting", "flow", "scan", *MEANS)),
    "flow": Room(60, ("numpy", "pyarrow"), ("scan", *MEANS)),
    "fitting": Room(60, ("numpy", "pyarrow"), ("scan", *MEANS), late=("dask",)),
    "conversion": Room(
        56,
        ("numpy", "pyarrow"),
        (*BELOW, "kernels", "models", "registry"),
        late=(
            *("defusedxml", "google.protobuf", "h5py", "keras", "onnx", "onnxruntime", "pandas", "sklearn", "skops"),
            *("statsmodels", "torch"),
        ),
        lazy=True,
    ),
    "scan": Room(55, ("numpy", "pyarrow"), (*BELOW, "sources", "execute")),
    "sources": Room(50, ("numpy", "pyarrow"), (*BELOW, "compact")),
    "models": Room(
        50,
        ("numpy", "pyarrow", "pydantic", "pydantic_core"),
        (*BELOW, "kernels", "grammar", "registry"),
        late=("pipeline.models.logistic.expression", "safetensors"),
        # What most models have none of is loaded when a model has it.
        lazy=True,
    ),
    "sinks": Room(50, ("numpy", "pyarrow"), BELOW),
    "execute": Room(50, ("dask", "distributed", "numpy"), BELOW, late=(*ENGINES, BY_VALUE)),
    "publish": Room(50, (), BELOW),
    "publish.local": Room(45, (), (*GROUND, "publish.layout", "publish.store", "publish.facts", "publish.record")),
    "publish.layout": Room(44, (), (*GROUND, "publish.store", "publish.facts", "publish.record")),
    "publish.store": Room(43, (), ("choices", "types", "publish.facts", "publish.record")),
    "publish.facts": Room(42, (), ("types", "publish.record")),
    "publish.record": Room(
        41, (), ("canonical", "errors", "types", "units"), without=("os", "pathlib", "io", "shutil")
    ),
    "report": Room(50, (), BELOW),
    "kernels": Room(40, ("numpy", "threadpoolctl"), ("registry", *GROUND)),
    "options": Room(32, (), GROUND, typing=("distributed",)),
    "memory": Room(31, ("numpy", "psutil"), ("plan", *GROUND)),
    "plan": Room(30, ("numpy",), GROUND),
    "grammar": Room(21, (), ("errors", "units", "registry")),
    "types": Room(23, ("numpy",), ("errors", "units", "choices", "causes", "schedulers"), typing=("pyarrow",)),
    "causes": Room(22, (), ("choices", "units")),
    "disk": Room(20, (), ("errors", "units")),
    "schedulers": Room(20, (), ("errors", "units")),
    "registry": Room(20, (), ("units",)),
    "choices": Room(20, (), ("errors", "units")),
    "units": Room(11, (), ("errors",)),
    "canonical": Room(10),
    "compact": Room(10),
    "formats": Room(10),
    "logs": Room(10),
    "process": Room(10),
    "errors": Room(10),
    "version": Room(10),
    "compute": Room(10, late=(COSTLY,)),
    "dataclass": Room(1),
}
# Rooms in a room, by their full names. Outside it nobody imports them: its own ``__init__`` is its face.
INNER = tuple(name for name in ROOMS if "." in name and name != ENTRY)


# The imports that go up: which modules a file may import in a function, and why.
UPWARD = {
    "pipeline/models/network/model.py": (
        ("pipeline.conversion.exporting",),
        "a method of the model that writes it for another tool, which nothing else of the room knows",
    ),
    "pipeline/models/logistic/model.py": (
        ("pipeline.conversion.exporting", "pipeline.conversion.sklearn.writing"),
        "a method of the model that writes it for another tool, which nothing else of the room knows",
    ),
}

# Files that touch the system by themselves, and why.
DOORS = {
    "pipeline/disk/": "the door",
    "pipeline/memory.py": "reads /proc and /sys, where the kernel is asked and no file is",
    "pipeline/execute/": "pipes and descriptors of child processes",
    "jobs/show/console.py": "the three standard streams",
}
# By the whole name, called or passed on; and methods of a path.
TOUCHES = re.compile(
    r"os\.(open|close|p?readv?|p?writev?|fsync|fdatasync|renames?|replace|link|symlink|unlink|remove|rmdir|removedirs|"
    r"mkdir|makedirs|mkfifo|scandir|listdir|f?walk|[lf]?stat|f?statvfs|f?truncate|f?chmod|f?chown|utime|readlink|"
    r"sendfile|dup2?)|io\.open|glob\.i?glob|shutil\.(copy\w*|move|rmtree|disk_usage)|tempfile\.\w+"
)
OF_A_PATH = re.compile(r"(read|write)_(bytes|text)|mkdir|rmdir|touch|iterdir|rglob|lstat|chmod|(sym|hard)link_to")


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
    """Return the room of a file, given relative to the root: one of ``jobs``, ``pipeline`` or a name below it."""
    if path.parts[0] == JOBS:
        return ENTRY if ".".join(path.with_suffix("").parts) == ENTRY else JOBS
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
        return "" if found.lazy or found.typing else "import it in the function that needs it"
    why = _own_fault(name, found) if top in {PUBLIC, JOBS} else _package_fault(name, found)
    return why or ("imports stand at the top of the file" if found.lazy and not room.lazy else "")


def _is_free(room: Room, found: Import, top: str) -> bool:
    if _allows(room.without, found.module):
        return False
    free = top in sys.stdlib_module_names or found.module == DATACLASS
    free = free or (found.module == COMPUTE and "pyarrow" in room.packages)
    return free or (found.typing and top == STUBS) or (found.module == COMPUTED and room.lazy)


def _own_fault(name: str, found: Import) -> str:
    top, _, rest = found.module.partition(".")
    target = _named(rest) if top == PUBLIC and rest else top
    # The face of a room may import every room in it.
    if target == name or target.startswith(f"{name}."):
        return ""
    if target == JOBS:
        return f"{ENTRY} may use jobs.cli alone" if name == ENTRY else f"{PUBLIC} never imports {JOBS}"
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
    if found.module == COSTLY:
        return f"import {COMPUTE}, which loads it when it is used"
    if _allows(room.packages, found.module) or (found.typing and _allows(room.typing, found.module)):
        return ""
    return f"{name} may use {_listed(room.packages, 'the standard library alone')}"


def _allows(names: Sequence[str], module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _listed(names: Sequence[str], nothing: str) -> str:
    return ", ".join(sorted(names)) if names else nothing


def touched(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of what a parsed file touches files with.

    Counted is what opens, reads, writes, syncs, renames, lists or removes, and what asks for the facts of a file
    (``stat``): each can fail, and ``disk`` knows what a failure means. Not counted are arithmetic of paths
    (``resolve``, ``realpath``) and whether something has a name (``exists``, ``is_dir``, ``lexists``), which neither
    fail nor change anything; nor what reads a descriptor that ``disk`` has opened, such as Arrow or ``os.fdopen``.

    Methods are known by name and arguments, because some names have other meanings: ``path.replace(other)`` counts,
    ``text.replace(old, new)`` and ``Folder.open(path)`` do not.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{each.name}" for each in node.names)
            yield from ((node.lineno, name) for name in names if TOUCHES.fullmatch(name))
        elif isinstance(node, ast.Attribute) and TOUCHES.fullmatch(ast.unparse(node)):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and _touches(node):
            yield node.lineno, ast.unparse(node.func)


def _touches(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return ast.unparse(call.func) == "open"
    name, given = call.func.attr, len(call.args)
    if TOUCHES.fullmatch(ast.unparse(call.func)):
        return False
    if name == "open":
        named = {each.arg for each in call.keywords}
        return isinstance(call.args[0], ast.Constant) if given else not named or "mode" in named
    if name in {"rename", "replace", "glob"}:
        return given == 1 and not call.keywords
    return OF_A_PATH.fullmatch(name) is not None or (name in {"stat", "unlink"} and not given)


def check(root: Path) -> list[str]:
    """Return one line for each import and call under a root that the tables do not allow."""
    lines = []
    for path in sorted((root / PUBLIC).rglob("*.py")) + sorted((root / JOBS).rglob("*.py")):
        relative = path.relative_to(root)
        name = room_of(relative)
        if name not in ROOMS:
            lines.append(f"{relative}:1: {name} is no room of the table in .ci/layers.py")
            continue
        package = ".".join(relative.parent.parts)
        tree = ast.parse(path.read_bytes(), str(path))
        upward, _ = UPWARD.get(str(relative), ((), ""))
        found = (each for each in imports(tree, package, tuple(ROOMS)) if not (each.lazy and each.module in upward))
        faults = ((each, fault(name, each)) for each in found)
        lines += [f"{relative}:{each.line}: imports {each.module}: {why}" for each, why in faults if why]
        if not str(relative).startswith(tuple(DOORS)):
            lines += [f"{relative}:{line}: {call}: pipeline.disk alone touches files" for line, call in touched(tree)]
    return lines


def main(arguments: Sequence[str]) -> int:
    """Print what is wrong under the root that is named, or under this checkout."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    lines = check(root)
    print("\n".join(lines) or f"imports follow the rooms ({len(ROOMS)} of them), and disk is the one door")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
