"""Scores networks as whole processes in turn: ours, PyTorch and onnxruntime.

    python -m tests.benchmarks.network FOLDER [--case NAME]... [--scale 1.0] [--runs 5] [--workers 1]...
                                              [--without PEER]... [--peers-python PYTHON] [--memory 1GiB]
                                              [--avx2] [--json FILE]

Data and networks of float32 are made in FOLDER once; onnx writes the graph as PyTorch exports it. Each peer runs at the
batch size that was the fastest in one uncounted run of each. Probabilities are compared with ours in every row. Ratios
are of ours over theirs in the same round. ``--avx2`` takes AVX-512 from numpy, OpenBLAS and PyTorch; onnxruntime cannot
be told. The peers run with torch and onnxruntime of the extra ``peers``, by default in this Python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.benchmarks import files, meter, promises
from tests.benchmarks.checking import WrongOutputError, largest_difference, read_columns
from tests.benchmarks.meter import Measured
from tests.benchmarks.promises import Target
from tests.benchmarks.turns import Bench, clear, say

PEERS = ("torch", "onnxruntime")
SCRIPT = Path(__file__).parent / "peers" / "network_peer.py"
OURS = "logitstream"
SIZES = (256, 1024, 4096, 16384)
SEED = 1997
GROUP_ROWS = 65_536
STEPS, WIDTH = 16, 8
# What PyTorch calls the tensors of a recurrent layer.
MEMBERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# Of probabilities in float32, computed in another order.
TOLERANCE = 2e-6

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Case:
    """Rows and a network, and by peer the most of its wall time that ours may take.

    ``cell`` is a recurrent layer of so many ``units`` over lists of 16 steps of 8 numbers; without one ``widths`` are
    those of dense layers with relu, from the columns to the output.
    """

    about: str
    against: Mapping[str, float | None]
    cell: str = ""
    units: int = 32
    widths: tuple[int, ...] = ()
    rows: int = 2_000_000

    @property
    def data_name(self) -> str:
        """The name of its file of rows."""
        return f"network-{self.rows}-{'lists' if self.cell else f'{self.widths[0]}'}.parquet"


CASES: Mapping[str, Case] = {
    "LSTM": Case("LSTM, 32 units, 16 steps of 8 inputs", {"torch": 1.1, "onnxruntime": 0.8}, "lstm"),
    "GRU": Case("GRU, 32 units, 16 steps of 8 inputs", {"torch": 0.8, "onnxruntime": 0.6}, "gru"),
    "DENSE": Case("dense 20-64-32-1, relu", {"torch": None, "onnxruntime": 1.5}, widths=(20, 64, 32, 1)),
}


def make_data(case: Case, folder: Path) -> Path:
    """Return the path of the rows of a case, made now unless they are there."""
    path = folder / case.data_name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished-{path.name}")
        files.write_parquet(unfinished, tables(case), GROUP_ROWS, "snappy")
        unfinished.rename(path)
    return path


def tables(case: Case) -> Iterator[pa.Table]:
    """Yield the rows, a row group at a time: ``s``, all numbers of a row in one list, or ``x0``, ``x1``, ..."""
    for start in range(0, case.rows, GROUP_ROWS):
        rows = min(GROUP_ROWS, case.rows - start)
        random = np.random.default_rng((SEED, start))
        columns: dict[str, Any] = {"id": np.arange(start, start + rows)}
        if case.cell:
            numbers = random.standard_normal(rows * STEPS * WIDTH, dtype=np.float32)
            offsets = pa.array(np.arange(0, len(numbers) + 1, STEPS * WIDTH, dtype=np.int32))
            columns["s"] = pa.ListArray.from_arrays(offsets, pa.array(numbers))
        else:
            columns |= {f"x{n}": random.standard_normal(rows, dtype=np.float32) for n in range(case.widths[0])}
        yield pa.table(columns)


def weights(case: Case) -> Tensors:
    """Return the tensors of a network, as a PyTorch module calls them."""
    random = np.random.default_rng(SEED)

    def drawn(*shape: int) -> np.ndarray:
        return random.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))

    made: Tensors = {}
    if case.cell:
        gates = {"lstm": 4, "gru": 3}[case.cell] * case.units
        shapes = ((gates, WIDTH), (gates, case.units), (gates,), (gates,))
        made |= {f"{case.cell}.{name}_l0": drawn(*shape) for name, shape in zip(MEMBERS, shapes, strict=True)}
    for number, (inputs, units) in enumerate(pairwise(case.widths or (case.units, 1))):
        made |= {f"{number}.weight": drawn(units, inputs), f"{number}.bias": drawn(units)}
    return made


def make_network(case: Case, folder: Path, graph: bool) -> Path:
    """Write a network for all contenders, and return its folder."""
    from safetensors.numpy import save

    home = folder / f"network-{case.cell or 'dense'}"
    home.mkdir(parents=True, exist_ok=True)
    tensors = weights(case)
    data = save(tensors)
    (home / "model.safetensors").write_bytes(data)
    np.savez(home / "network.npz", **tensors)
    said = {"format": "logitstream-model", "version": 1, "kind": "network", "head": "sigmoid", **described(case)}
    said["weights"] = {"file": "model.safetensors", "sha256": hashlib.sha256(data).hexdigest()}
    (home / "model.json").write_text(json.dumps(said, indent=1))
    if graph:
        (home / "network.onnx").write_bytes(onnx_graph(case, tensors))
    return home


def described(case: Case) -> dict[str, Any]:
    """Return the features and layers of a model file."""
    count = len(case.widths) - 1 if case.widths else 1
    dense = [
        {"kind": "dense", "weight": f"{number}.weight", "bias": f"{number}.bias"}
        | ({"function": "relu"} if number < count - 1 else {})
        for number in range(count)
    ]
    if not case.cell:
        return {"features": [{"column": f"x{n}", "kind": "numeric"} for n in range(case.widths[0])], "layers": dense}
    members = zip(("input_weight", "hidden_weight", "input_bias", "hidden_bias"), MEMBERS, strict=True)
    layer = {"kind": case.cell} | {member: f"{case.cell}.{name}_l0" for member, name in members}
    return {
        "features": [{"column": "s", "kind": "sequence", "width": WIDTH}],
        "layers": [layer, {"kind": "last"}, *dense],
        "steps": STEPS,
    }


def onnx_graph(case: Case, tensors: Tensors) -> bytes:
    """Return a graph in the form of PyTorch's exporter: a batch first, then time first for the recurrent layer."""
    from onnx import TensorProto, helper, numpy_helper

    constants, nodes = recurrent_nodes(case, tensors) if case.cell else ({}, [])
    value = "last" if case.cell else "x"
    count = len(case.widths) - 1 if case.widths else 1
    for number in range(count):
        constants |= {name: tensors[name] for name in (f"{number}.weight", f"{number}.bias")}
        names = [value, f"{number}.weight", f"{number}.bias"]
        nodes.append(helper.make_node("Gemm", names, [f"z{number}"], transB=1))
        value = f"a{number}"
        nodes.append(helper.make_node("Relu" if number < count - 1 else "Sigmoid", [f"z{number}"], [value]))
    shape = ["rows", STEPS, WIDTH] if case.cell else ["rows", case.widths[0]]
    body = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(constant, name) for name, constant in constants.items()],
    )
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(made.SerializeToString())


def recurrent_nodes(case: Case, tensors: Tensors) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return the constants and nodes that make the last state of a recurrent layer."""
    from onnx import helper

    order = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}[case.cell]
    rows = np.concatenate([np.arange(case.units) + case.units * place for place in order])
    w, r, *biases = (tensors[f"{case.cell}.{name}_l0"][rows] for name in MEMBERS)
    constants = {"w": w[None], "r": r[None], "b": np.concatenate(biases)[None], "axis": np.array([0])}
    reset = {"linear_before_reset": 1} if case.cell == "gru" else {}
    operator, names = case.cell.upper(), ["t", "w", "r", "b"]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node(operator, names, ["", "h"], hidden_size=case.units, **reset),
        helper.make_node("Squeeze", ["h", "axis"], ["last"]),
    ]
    return constants, nodes


@dataclass(slots=True)
class Raced:
    """The runs of one contender: the batch size that was chosen, what the others took, and how far it is from ours."""

    size: int | None = None
    rehearsed: dict[int, float] = field(default_factory=dict)
    difference: float = 0.0
    runs: list[Measured] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median of a measure."""
        return statistics.median(getattr(run, name) for run in self.runs)


@dataclass(frozen=True, slots=True)
class Setting:
    """How contenders run: workers, our budget, the Python of the peers, and what is before each command."""

    workers: int
    memory: str
    python: str
    before: tuple[str, ...] = ()

    def ours(self, data: Path, network: Path) -> list[str]:
        """Return our command."""
        told = ["--keep", "id", "--workers", str(self.workers), "--memory", self.memory, "--float32", "-q"]
        return [
            *self.before,
            *meter.command("score"),
            str(data),
            "-m",
            str(network / "model.json"),
            *told,
            "-o",
            "{out}",
        ]

    def peer(self, name: str, size: int, data: Path, network: Path) -> list[str]:
        """Return the command of a peer."""
        told = [str(data), str(network), "{out}", str(size), str(self.workers)]
        return [*self.before, self.python, str(SCRIPT), name, *told]


def without_avx512() -> tuple[str, ...]:
    """Return what to put before a command so that numpy, OpenBLAS and PyTorch use AVX2 at most."""
    from numpy._core._multiarray_umath import __cpu_features__ as features

    wide = " ".join(name for name, has in features.items() if has and (name.startswith("AVX512") or name == "X86_V4"))
    said = {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    said |= {"MKL_ENABLE_INSTRUCTIONS": "AVX2"} | ({"NPY_DISABLE_CPU_FEATURES": wide} if wide else {})
    return ("env", *(f"{name}={value}" for name, value in said.items()))


def race(case: Case, bench: Bench, setting: Setting) -> dict[str, Raced]:
    """Return the runs of all contenders, in turn, after an uncounted one of each."""
    peers = [name for name in case.against if name not in bench.without]
    data = make_data(case, bench.folder)
    network = make_network(case, bench.folder, "onnxruntime" in peers)
    out = bench.folder / "scored"
    commands, raced = {OURS: setting.ours(data, network)}, {OURS: Raced()}
    clear(out)
    bench.run(commands[OURS], out)
    true = read_columns(out, case.rows, ["probability"])["probability"]
    clear(out)
    for name in peers:
        raced[name] = rehearsed(name, bench, setting, (data, network), true)
        commands[name] = setting.peer(name, raced[name].size or SIZES[0], data, network)
    for number in range(bench.rounds):
        for name, command in commands.items():
            raced[name].runs.append(replace(bench.run(command, out), output="", errors=""))
            clear(out)
        say(f"round {number + 1}: {', '.join(f'{name} {of.runs[-1].seconds:.2f} s' for name, of in raced.items())}")
    return raced


def rehearsed(name: str, bench: Bench, setting: Setting, paths: tuple[Path, Path], true: np.ndarray) -> Raced:
    """Run a peer once at each batch size, compare every row with ours, and return which size is the fastest.

    Raises
    ------
    WrongOutputError
        A row differs by more than float32 explains.
    """
    found, out = Raced(), bench.folder / "scored"
    for size in SIZES:
        found.rehearsed[size] = bench.run(setting.peer(name, size, *paths), out).seconds
        theirs = read_columns(out, len(true), ["probability"])["probability"]
        found.difference = max(found.difference, largest_difference(true, theirs))
        clear(out)
        say(f"{name}, batch {size}: largest difference {found.difference:.1e}, {found.rehearsed[size]:.2f} s")
        if not found.difference <= TOLERANCE:
            raise WrongOutputError(f"{name} differs from ours by {found.difference:.1e}, more than {TOLERANCE:.0e}")
    found.size = min(found.rehearsed, key=found.rehearsed.__getitem__)
    return found


def over(mine: Raced, of: Raced, name: str) -> float:
    """Return the median of the ratios of a measure, ours over theirs in the same round."""
    return statistics.median(getattr(a, name) / getattr(b, name) for a, b in zip(mine.runs, of.runs, strict=True))


def targets(case: Case, raced: Mapping[str, Raced]) -> Iterator[Target]:
    """Yield what is promised of ours, with what was found."""
    for peer, most in case.against.items():
        if most is not None and peer in raced:
            yield Target(f"wall / {peer}", over(raced[OURS], raced[peer], "seconds"), most)


def figures(case: Case, raced: Mapping[str, Raced], workers: int) -> dict[str, Any]:
    """Return the medians, the ratios in pairs, and the targets."""
    mine, found = raced[OURS], {}
    for contender, of in raced.items():
        found[contender] = {
            "wall": of.median("seconds"),
            "walls": [run.seconds for run in of.runs],
            "cpu": of.median("cpu_seconds"),
            "peak_mib": of.median("peak_bytes") / 2**20,
            "batch": of.size,
            "rehearsed": {str(size): seconds for size, seconds in of.rehearsed.items()},
            "largest_difference": of.difference,
            "ours_over_it": over(mine, of, "seconds"),
            "ours_over_it_cpu": over(mine, of, "cpu_seconds"),
        }
    checked = promises.checked(targets(case, raced))
    return {"about": case.about, "rows": case.rows, "workers": workers, "contenders": found, "targets": checked}


def table(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a case."""
    yield f"{name}: {found['about']}; {found['rows']:,} rows, workers {found['workers']}"
    for contender, of in found["contenders"].items():
        batch = "" if of["batch"] is None else f"  batch {of['batch']}, difference {of['largest_difference']:.1e}"
        yield (
            f"  {contender:12} wall {of['wall']:7.2f} s  CPU {of['cpu']:7.2f} s  peak {of['peak_mib']:6.0f} MiB"
            f"  ours/it {of['ours_over_it']:.3f} (CPU {of['ours_over_it_cpu']:.3f}){batch}"
        )
    yield from promises.verdicts(found)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parameters."""
    parser = promises.parser_of("network", str(__doc__), CASES, PEERS, "1GiB")
    parser.add_argument("--workers", type=int, action="append", help="repeatable [default: 1 and 2]")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--avx2", action="store_true", help="without AVX-512, but for onnxruntime")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and print a table."""
    given = parse(arguments)
    bench = promises.bench_of(given)
    before = without_avx512() if given.avx2 else ()
    results = {}
    for name, case in CASES.items():
        for workers in given.workers or (1, 2):
            if promises.is_asked(given, name):
                scaled = replace(case, rows=bench.rows(case.rows))
                setting = Setting(workers, given.memory, given.peers_python, before)
                found = figures(scaled, race(scaled, bench, setting), workers)
                results[f"{name} {workers}"] = {**found, "avx2": given.avx2, "machine": meter.machine()}
                promises.keep(given, results)
    promises.show(results, lambda name, found: table(name.partition(" ")[0], found))


if __name__ == "__main__":
    main(sys.argv[1:])
