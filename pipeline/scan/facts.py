"""The facts of input files, read by one thread, or by several where the disk is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from pipeline.errors import LogitstreamError
from pipeline.scan.held import give_back
from pipeline.scan.recorded import Record
from pipeline.scan.turns import TIMED, Stopwatch
from pipeline.sources import source_for
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need

_READERS = 8
# Of so many files at a time the first few are timed.
_GROUP = 256


def gather_facts(
    files: Sequence[InputFile], csv: CsvOptions, *, full: bool = False, record: Record | None = None
) -> tuple[FileFacts, ...]:
    """Return the facts of every file, in order; footers, headers and ends are read, no rows.

    What a ``record`` has of a file is not read.

    Raises
    ------
    DataError
        A file is damaged. Where several are, the error names the first in input order.
    """
    known = [None if record is None else record.facts(file) for file in files]
    unknown = [file for file, facts in zip(files, known, strict=True) if facts is None]
    read: list[FileFacts] = []
    for found in _gathered(unknown, csv, full=full):
        if isinstance(found, LogitstreamError):
            raise found
        read.append(found)
    rest = iter(read)
    return tuple(next(rest) if facts is None else facts for facts in known)


def try_facts(files: Sequence[InputFile], csv: CsvOptions) -> list[FileFacts | LogitstreamError]:
    """Return the facts of every file, in order, or why it cannot be read.

    Raises
    ------
    UsageError
        An option for CSV files cannot be used.
    """
    return list(_gathered(files, csv, full=False))


def field_of(facts: FileFacts, need: Need, csv: CsvOptions) -> pa.Field:
    """Return the name, type and nullability with which a needed column of a file will come.

    Raises
    ------
    LookupError
        The file has no such column, or several; the message is a clause for a person.
    """
    return source_for(facts.file.format, csv).field(facts, need)


def _gathered(files: Sequence[InputFile], csv: CsvOptions, *, full: bool) -> Iterator[FileFacts | LogitstreamError]:
    """Yield the facts or the error of each file, in order; after the caller stops, hardly any further file is read."""

    def facts_of(file: InputFile) -> FileFacts | LogitstreamError:
        # Options that cannot be used are an error of the call, not of each file.
        source = source_for(file.format, csv)
        try:
            return source.facts(file, full=full)
        except LogitstreamError as error:
            return error.at(file.path)

    try:
        for start in range(0, len(files), _GROUP):
            timed, others = files[start : start + TIMED], files[start + TIMED : start + _GROUP]
            stopwatch = Stopwatch()
            first = [facts_of(file) for file in timed]
            is_slow = stopwatch.waited(len(timed), 2)
            yield from first
            # Threads pay off where the disk is slow, or files are digested. Else they slow each other down: eight take
            # 0.8 ms for a footer, one takes 0.5 ms.
            yield from _mapped(facts_of, others, threaded=full or is_slow)
    finally:
        # Otherwise this memory would stay resident during all that follows.
        give_back()


def _mapped(
    facts_of: Callable[[InputFile], FileFacts | LogitstreamError], files: Sequence[InputFile], *, threaded: bool
) -> Iterable[FileFacts | LogitstreamError]:
    if not threaded:
        return map(facts_of, files)
    with ThreadPoolExecutor(_READERS, "logitstream-facts") as pool:
        return list(pool.map(facts_of, files))
