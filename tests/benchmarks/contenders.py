"""The commands that run against each other on one dataset: ours in its variants, and the peers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks import meter
from tests.benchmarks.checking import Work
from tests.benchmarks.data import Dataset
from tests.benchmarks.models import THRESHOLD
from tests.benchmarks.turns import OURS, Contender

SCRIPTS = Path(__file__).resolve().parent / "peers"
UNSYNCED = "unsynced"
FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that scores as we do: its script, the package it needs, its forms without and with categories."""

    script: str
    package: str
    forms: tuple[str, ...]
    forms_of_levels: tuple[str, ...] = ()


PEERS = {
    "polars": Peer(
        "polars_score.py", "polars", ("nested", "horizontal"), ("nested-replace", "nested-join", "horizontal-replace")
    ),
    "duckdb": Peer("duckdb_score.py", "duckdb", ("expression", "list")),
    "dask": Peer("dask_score.py", "pandas", ("columns", "partitions")),
    "sklearn": Peer("sklearn_score.py", "sklearn", ("pandas", "arrays")),
}
CHOICES = (UNSYNCED, FLOOR, *PEERS)


class MissingPeerError(Exception):
    """A peer is not installed and was not waived."""


def refuse_missing(names: Sequence[str]) -> None:
    """Refuse to leave a peer out in silence.

    Raises
    ------
    MissingPeerError
        One of these is not installed.
    """
    for name in names:
        if name in PEERS and find_spec(PEERS[name].package) is None:
            package = PEERS[name].package
            raise MissingPeerError(f"{package} is not installed: pip install '.[bench]', or say --without {name}")


def ours(data: Path, model: Path, work: Work, *, csv: bool) -> list[str]:
    """Return our command."""
    command = [*meter.command("score"), str(data), "--model", str(model), "--output", "{out}", "--if-exists", "replace"]
    command += ["--keep", ",".join(["id", *work.keep]), "-q", *(["--type", "id=int64"] if csv else [])]
    command += ["--raw-prediction"] if "raw_prediction" in work.results else []
    return command + (["--threshold", str(THRESHOLD)] if "decision" in work.results else [])


def field(data: Path, model: Path, work: Work, dataset: Dataset, against: Sequence[str]) -> list[Contender]:
    """Return us first, then those against whom we run."""
    mine = ours(data, model, work, csv=dataset.kind != "parquet")
    found = [Contender(OURS, {"": mine})]
    for name in against:
        if name == UNSYNCED:
            found.append(Contender(UNSYNCED, {"": [*mine, "--durability", "none"]}))
        elif name == FLOOR:
            quoted = ["--quoted"] if dataset.mixture.remark else []
            found.append(Contender(FLOOR, {"": floor(data, [*quoted, *dataset.mixture.numeric])}, scores=False))
        else:
            found.append(Contender(name, {form: peer(name, form, data, model, work) for form in forms(name, dataset)}))
    return found


def floor(data: Path, words: Sequence[str]) -> list[str]:
    """Return the command of the program that only reads and writes."""
    return [sys.executable, str(SCRIPTS / "floor.py"), str(data), "{out}", *words]


def forms(name: str, dataset: Dataset) -> tuple[str, ...]:
    """Return the forms of a peer for a dataset."""
    return PEERS[name].forms_of_levels if dataset.mixture.levels else PEERS[name].forms


def peer(name: str, form: str, data: Path, model: Path, work: Work) -> list[str]:
    """Return the command of a peer in one form."""
    script = str(SCRIPTS / PEERS[name].script)
    told = [str(data), str(model), "{out}", form, ",".join(work.results), ",".join(work.keep)]
    return [sys.executable, script, *told]
