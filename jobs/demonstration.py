"""What ``logitstream demo`` does: copies the sample, runs the commands that it shows, and explains the result."""

from __future__ import annotations

import csv
import io
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pipeline
from jobs.cli import group
from jobs.show import console
from jobs.show.flights import Flight, against_outcome, in_words
from pipeline import disk
from pipeline.canonical import sha256
from pipeline.errors import BalanceError, ConfigurationError, OutputError, PermissionDeniedError, StorageError
from pipeline.report.text import aligned
from pipeline.types.outputs import MANIFEST
from pipeline.units import escape, format_count, format_seconds

SAMPLE = ("delay_model.json", "delay_scorecard.json", "flights.csv", "flights")
COMPARED = ["flight_id", "dep_delay", "probability"]
_TYPES = ("--type", "flight_id=int32", "--type", "dep_delay=int16")
_WIDTH = 80


def show(folder: str) -> None:
    """Carry out the demonstration in a folder, which is made if it does not exist.

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
    keep = ("--keep", "flight_id,dep_delay,distance,late")
    parquet, csv_ = target / "scores-from-parquet", target / "scores-from-csv"
    _say("The plan, made from the footers of the Parquet files:")
    _do("plan", target / "flights", *model, *keep, "--output", parquet, "--if-exists", "replace")
    _say("The flights, scored from Parquet:")
    seconds = _do("score", target / "flights", *model, *keep, "--output", parquet, "--if-exists", "replace", "-q")
    _explain(_flights(target / "flights.csv", parquet), seconds)
    _say("The same flights, scored from CSV (--type: kept columns are text otherwise):")
    _do("score", target / "flights.csv", *model, *keep, *_TYPES, "--output", csv_, "--if-exists", "replace", "-q")
    _compare(parquet, csv_)
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
        raise PermissionDeniedError(
            f"cannot write {escape(str(error.filename))}: {error.strerror}", "choose another --output"
        ) from error
    except (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise OutputError(f"cannot make {escape(str(target))}: {error.strerror}", "choose another --output") from error
    except OSError as error:
        raise StorageError(
            f"cannot write {escape(str(error.filename or target))}: {error.strerror}",
            "free space, or choose another --output",
        ) from error


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
                f"{escape(str(copy))} exists and differs from the file of the sample",
                "move it away, or choose another --output",
            )
        return
    disk.make_folders(copy.parent)
    # Whole or not at all, so that an interrupted demonstration can be started again.
    disk.write_file(copy, content)


def _do(*words: str | Path) -> float:
    """Show a command and run it; return the seconds that it took."""
    arguments = [str(word) for word in words]
    console.emit(_shown(arguments))
    began = time.monotonic()
    with group.make_context("logitstream", arguments) as context:
        group.invoke(context)
    return time.monotonic() - began


def _shown(arguments: Sequence[str]) -> str:
    """Return a command that can be pasted, in lines that fit a terminal if its words allow it."""
    pieces = ["$ logitstream"]
    for word in map(shlex.quote, arguments):
        if word.startswith("-"):
            pieces.append(word)
        else:
            pieces[-1] += f" {word}"
    lines = pieces[:1]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) + 3 <= _WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"    {piece}")
    return " \\\n".join(lines)


def _flights(source: Path, scores: Path) -> list[Flight]:
    """Return the flights of the sample with their scores."""
    rows = csv.DictReader(io.StringIO(disk.read_file(source).decode()))
    carriers = {int(row["flight_id"]): row["carrier"] for row in rows}
    columns = ["flight_id", "dep_delay", "distance", "late", "probability"]
    values = pipeline.open_dataset(str(scores)).to_dask_array(columns).compute(scheduler="sync").tolist()
    return [
        Flight(carriers[int(number)], _known(minutes), miles, _known(risk), None if math.isnan(late) else bool(late))
        for number, minutes, miles, late, risk in values
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _explain(flights: Sequence[Flight], seconds: float) -> None:
    scored = sum(each.risk is not None for each in flights)
    without = format_count(len(flights) - scored)
    console.emit(
        f"\n{format_count(scored)} flights have a score, {without} never left and have none; "
        f"it took {format_seconds(seconds)}"
    )
    _say("A score is the risk that a flight arrives more than 15 minutes late:")
    console.emit("\n".join(in_words(flights)))
    _say("All flights, in ten groups by risk, against what really happened:")
    console.emit("\n".join(against_outcome(flights)))
    console.emit("\nThe model was fitted on these flights. On new ones it is less exact.")


def _compare(parquet: Path, csv_: Path) -> None:
    digests = [sha256(_values(output).tobytes()) for output in (parquet, csv_)]
    console.emit(f"\nSHA-256 of the scores\nfrom Parquet  {digests[0]}\nfrom CSV      {digests[1]}")
    if digests[0] != digests[1]:
        raise BalanceError(
            "the scores from Parquet and from CSV are not the same bits", "report this as a bug in logitstream"
        )
    console.emit("the same bits: yes")


def _values(output: Path) -> Any:
    return pipeline.open_dataset(str(output)).to_dask_array(COMPARED).compute(scheduler="sync")


def _next_steps(target: Path, parquet: Path) -> Sequence[tuple[str, str]]:
    return [
        ("the scores", str(parquet)),
        ("what proves them", str(parquet / MANIFEST)),
        ("the model", f"logitstream model show {shlex.quote(str(target / 'delay_model.json'))}"),
        ("your own files", "logitstream score --help"),
    ]


def _say(heading: str) -> None:
    console.emit(f"\n{heading}\n")
