"""What ``logitstream demo`` does: copies the sample, runs the commands that it shows, and compares the bits."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pipeline
from jobs.cli import group
from jobs.show import console
from pipeline import disk
from pipeline.canonical import sha256
from pipeline.errors import BalanceError, ConfigurationError, OutputError, PermissionDeniedError, StorageError
from pipeline.report.text import aligned
from pipeline.types.outputs import MANIFEST
from pipeline.units import escape, format_count

SAMPLE = ("delay_model.json", "flights.csv", "flights")
COMPARED = ["flight_id", "dep_delay", "probability"]
_TYPES = ("--type", "flight_id=int32", "--type", "dep_delay=int16")
_SHOWN = 5


def show(folder: str) -> None:
    """Carry out the demonstration in a folder, which is made where it does not exist.

    Raises
    ------
    BalanceError
        The scores from Parquet and from CSV differ in a bit.
    OutputError
        The folder holds a file that is not of the sample under a name of the sample.
    """
    target = Path(folder)
    _copy_sample(sample_folder(), target)
    model = ("--model", str(target / "delay_model.json"))
    keep = ("--keep", "flight_id,carrier,dep_delay")
    parquet, csv = target / "scores-from-parquet", target / "scores-from-csv"
    _say("The plan, from the footers of the Parquet files alone:")
    _do("plan", target / "flights", *model, *keep, "--output", parquet, "--if-exists", "replace")
    _say("Scored from Parquet:")
    _do("score", target / "flights", *model, *keep, "--output", parquet, "--if-exists", "replace")
    _say("Scored from CSV, where kept columns are text unless --type says otherwise:")
    _do("score", target / "flights.csv", *model, *keep, *_TYPES, "--output", csv, "--if-exists", "replace")
    _compare(parquet, csv)
    _say("Where to look next:")
    console.emit("\n".join(aligned(_next_steps(target, parquet))))


def sample_folder() -> Path:
    """Return where the sample is: inside the installed package, else in the checkout around it.

    Raises
    ------
    ConfigurationError
        It is in neither place.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "sample_data", here.parent / "sample_data"):
        if all((folder / name).exists() for name in SAMPLE):
            return folder
    raise ConfigurationError("the sample data is not part of this installation", "install logitstream again")


def _copy_sample(sample: Path, target: Path) -> None:
    try:
        for source in _sample_files(sample):
            _copy(source, target / source.relative_to(sample))
    except PermissionError as error:
        raise PermissionDeniedError(f"cannot write {escape(str(error.filename))}: {error.strerror}") from error
    except (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise OutputError(f"cannot make {escape(str(target))}: {error.strerror}", "name another --output") from error
    except OSError as error:
        raise StorageError(f"cannot write {escape(str(error.filename or target))}: {error.strerror}") from error


def _sample_files(sample: Path) -> Iterator[Path]:
    for name in SAMPLE:
        path = sample / name
        files = [path / each for each in disk.names_in(path)] if path.is_dir() else [path]
        yield from (file for file in files if file.suffix in {".json", ".csv", ".parquet"})


def _copy(source: Path, copy: Path) -> None:
    content = disk.read_file(source)
    if copy.exists():
        if copy.is_dir() or disk.read_file(copy) != content:
            raise OutputError(
                f"{escape(str(copy))} exists and is not the file of the sample",
                "move it away, or name another --output",
            )
        return
    disk.make_folders(copy.parent)
    # Whole or not at all: a demonstration that was interrupted can be started again.
    disk.write_file(copy, content)


def _do(*words: str | Path) -> None:
    arguments = [str(word) for word in words]
    console.emit(f"$ logitstream {shlex.join(arguments)}")
    with group.make_context("logitstream", arguments) as context:
        group.invoke(context)


def _compare(parquet: Path, csv: Path) -> None:
    first, second = _values(parquet), _values(csv)
    digests = [sha256(values.tobytes()) for values in (first, second)]
    _say(f"The first {_SHOWN} of {format_count(len(first))} flights, and whether both ways give the same bits:")
    for row in [COMPARED, *(map(_cell, row) for row in first[:_SHOWN].tolist())]:
        console.emit("  ".join(f"{cell:>20}" for cell in row))
    console.emit(f"\nsha256 from Parquet  {digests[0]}\nsha256 from CSV      {digests[1]}")
    if digests[0] != digests[1]:
        raise BalanceError("the scores from Parquet and from CSV are not the same bits", "please report this")
    console.emit("the same bits: yes")


def _values(output: Path) -> Any:
    return pipeline.open_dataset(str(output)).to_dask_array(COMPARED).compute(scheduler="sync")


def _cell(value: float) -> str:
    return "null" if math.isnan(value) else f"{value:.17g}"


def _next_steps(target: Path, parquet: Path) -> Sequence[tuple[str, str]]:
    return [
        ("the scores", str(parquet)),
        ("what proves them", str(parquet / MANIFEST)),
        ("the model", f"logitstream model show {shlex.quote(str(target / 'delay_model.json'))}"),
        ("your own files", "logitstream score --help"),
    ]


def _say(heading: str) -> None:
    console.emit(f"\n{heading}\n")
