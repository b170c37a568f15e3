"""Any bytes, cut anywhere: the pieces of a CSV hold the rows of the whole, and those of one Arrow reader."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline.errors import LogitstreamError
from pipeline.sources.csv.source import CsvSource
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need
from pipeline.types.rows import Slice
from tests.fuzz.target import Check, Target, ViolationError, check_refusal, require, with_dialect

NAME = "data.csv"
COLUMNS = 4
PIECES = (1, 2, 3, 5, 8, 13, 40, 1000)
BLOCKS = (1 << 20, 2, 9, 64)
SLICES = 40
# A bit of the options that asks for numbers and categories, too.
TYPED = 0x80
LONGEST = 4096
BOM = b"\xef\xbb\xbf"

Row = tuple[object, ...]
# Offset, column, text, reason and line of a bad record; its number counts from the beginning of its slice.
Bad = tuple[object, ...]
Reading = tuple[list[Row], list[Bad]]


def make(folder: Path) -> Check:
    """Return the check of one input: bytes that choose columns, slice, piece and block, options (two), and the text."""
    path = folder / NAME
    file = InputFile(NAME, str(path), 0, "csv")

    def check(data: bytes) -> None:
        columns, size, piece, structure, cells = (*data[:5], 0, 0, 0, 0, 0)[:5]
        text = data[5 : 5 + LONGEST]
        path.write_bytes(text)
        names = tuple(f"c{number}" for number in range(1 + columns % COLUMNS))
        options = with_dialect(CsvOptions(columns=names), structure, cells)
        needs = [Need(name, "kept") for name in names]
        if cells & TYPED:
            needs += [Need(names[0], "numeric"), *(Need(name, "categorical") for name in names)]
        try:
            whole = _whole(CsvSource(options), file, needs)
            block, piece = divmod(piece, len(PIECES))
            cutter = CsvSource(options, piece_bytes=PIECES[piece], block_bytes=BLOCKS[block % len(BLOCKS)])
            cut = _in_slices(cutter, file, needs, max(1 + size, len(text) // SLICES + 1))
        except LogitstreamError as error:
            check_refusal(error, NAME)
            return
        require(repr(cut) == repr(whole), f"pieces and whole differ:\n{cut}\n{whole}")
        if not whole[1] and text and not _is_compressed(text):
            text = text[CsvSource(options).facts(file).data_start :]
            kept = [row[: len(names)] for row in whole[0]]
            require(kept == _by_arrow(text, names, options), "one reader makes other rows of the whole")

    return check


def _is_compressed(text: bytes) -> bool:
    return text.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\x04\x22\x4d\x18", b"\xfd7zXZ"))


def _whole(source: CsvSource, file: InputFile, needs: list[Need]) -> Reading:
    facts = source.facts(file)
    begin, end, rows, bad = _read(source, facts, Slice(0, facts.data_start, facts.identity.size, None), needs, None)
    require(begin <= facts.data_start + len(BOM), f"the first record begins at {begin:,}")
    require(end == facts.identity.size, f"read up to {end:,} of {facts.identity.size:,} bytes")
    return rows, bad


def _in_slices(source: CsvSource, file: InputFile, needs: list[Need], size: int) -> Reading:
    """Read as a run does: every slice guesses its first record, and is read again where the guess was wrong."""
    facts = source.facts(file)
    if not facts.cuttable:
        return _whole(source, file, needs)
    rows: list[Row] = []
    bad: list[Bad] = []
    known = facts.data_start
    for start in range(0, max(1, facts.identity.size), size):
        piece = Slice(0, start, min(start + size, facts.identity.size), None)
        one = _read(source, facts, piece, needs, None)
        if one[0] != known:
            one = _read(source, facts, piece, needs, known)
        require(one[0] == known, f"told to begin at {known:,}, began at {one[0]:,}")
        known = one[1]
        rows += one[2]
        bad += one[3]
    require(known == facts.identity.size, f"read up to {known:,} of {facts.identity.size:,} bytes")
    return rows, bad


def _read(
    source: CsvSource, facts: FileFacts, piece: Slice, needs: list[Need], begin: int | None
) -> tuple[int, int, list[Row], list[Bad]]:
    rows: list[Row] = []
    bad: list[Bad] = []
    with source.read(facts.file, facts.identity, piece, needs, 1000, begin) as reader:
        for batch in reader:
            batch.validate(full=True)
            bad += ((cell.offset, cell.column, cell.text, cell.reason, cell.line) for cell in reader.take_bad())
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        bad += ((cell.offset, cell.column, cell.text, cell.reason, cell.line) for cell in reader.take_bad())
    require(len(bad) == reader.bad_count, f"{len(bad):,} bad records came, {reader.bad_count:,} are stated")
    return reader.begin, reader.end, rows, bad


def _by_arrow(text: bytes, names: tuple[str, ...], options: CsvOptions) -> list[Row]:
    """Return the rows that Arrow makes of a whole text, its last line ended, and each lone escape character doubled."""
    if not text:
        return []
    if options.escape:
        escape = options.escape.encode()
        pair = re.compile(b"%b([%b%b]?)" % (re.escape(escape), re.escape(escape), options.quote.encode()))
        text = pair.sub(lambda match: escape + (match[1] or escape), text)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(BOM + text + (b"" if text.endswith((b"\r", b"\n")) else b"\n")),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 20, column_names=names),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(names) > 1,
                quote_char=options.quote or False,
                escape_char=options.escape or False,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ViolationError(f"no record is bad, but one reader refuses the whole: {error}") from error
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def seeds() -> list[bytes]:
    """Return texts whose line ends and quotes stand where a cut can fall wrong."""
    texts = [
        b"a,b\n1,2\n3,4\n",
        b'"a\nb",c\r\n"d""e",f\r\n',
        b'x,"1,\n2",y\n"",,\n',
        b'12" pipe,x\n"a"b,c\n',
        b"a\r\rb\r\n\nc",
        b'a,"open\nb,c\n',
        b'"\n"\n"\r\n"\n""""\n',
        b'3,"5\\"",0.7\n4,"7\\\\",C:\\n\\\n\\"x,\\\\\n',
        b'made by hand\n# "\n#,\n1,2\n#3,"4\n#"\n"1"x,2\n',
        BOM + b"a,b\n\xc3\xa9,\xff\n\0,1\n",
        b'a,b,c\n"1","2","3"\n' * 9,
        b'"' + b"line\n" * 30 + b'",end\n',
        b'"1","NA"\n"",a\n1.234,NA\nNA,"a\nb"\n"1\'234",#N/A\n-,"-"\n',
        b"",
    ]
    return [
        bytes([columns, 3 * columns, number % 8 + 8 * (number % 4), structure, cells]) + text
        for number, text in enumerate(texts)
        for columns in (0, 1, 2)
        for structure, cells in ((0, 0), (1, 0), (0x14, 0), (0, TYPED | 0x0A), (1, TYPED | 0x39))
    ]


TOKENS = (
    b"\\",
    b'\\"',
    b"#",
    b"!",
    b'"',
    b'""',
    b",",
    b'",',
    b',"',
    b"\r\n",
    b"\n",
    b"\r",
    b'\n"',
    b'"\n',
    b"\n\n",
    BOM,
    b"\xc3\xa9",
    b"\0",
    b"NA",
    b'"NA"',
    b"1'234.5",
    b'"1,2"',
)
TARGETS = [Target("csv-cuts", make, seeds, TOKENS)]
