"""The structure of a CSV: escape characters, no quotes, lines before the header, comments; see test_cut_property.py."""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import DataError, UsageError
from pipeline.sources.csv.dialect import Dialect, dialect_of
from pipeline.sources.csv.parse import CsvParser
from pipeline.sources.csv.source import CsvSource
from pipeline.types.inputs import CsvOptions, InputFile, Need
from pipeline.types.rows import BadCell
from pipeline.units import KIB
from tests.contracts.source import read_told, whole

Write = Callable[..., InputFile]
Rows = list[tuple[object, ...]]
BACKSLASH = CsvOptions(escape="\\")
EXAMPLE = b'id,note,x\n3,"5\\"",0.7\n4,"7\\"",0.8\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def new(content: bytes, name: str = "data.csv") -> InputFile:
        path = tmp_path / name
        path.write_bytes(content)
        return InputFile(name, str(path), 0, "csv")

    return new


def read(
    file: InputFile, options: CsvOptions, needs: list[Need] | None = None, **sizes: int
) -> tuple[Rows, list[BadCell]]:
    source = CsvSource(options, **sizes)
    facts = source.facts(file)
    needs = [Need(column.field.name, "kept") for column in facts.columns] if needs is None else needs
    rows, _, told = read_told(source, facts, whole(facts), needs, 1000)
    return rows, told.bad


def events(file: InputFile, options: CsvOptions) -> dict[str, int]:
    source = CsvSource(options)
    facts = source.facts(file)
    with source.read(file, facts.identity, whole(facts), [], 1000) as reader:
        list(reader)
    return dict(reader.events)


class TestEscape:
    def test_the_example_is_two_records_as_duckdb_reads_it(self, write: Write) -> None:
        duckdb = pytest.importorskip("duckdb")
        file = write(EXAMPLE)
        rows, bad = read(file, BACKSLASH, [Need("id", "numeric"), Need("note", "kept"), Need("x", "numeric")])
        found = duckdb.sql(f"from read_csv('{file.location}', quote='\"', escape='\\', header=true)").fetchall()
        assert (rows, bad) == (found, [])
        assert rows == [(3.0, '5"', 0.7), (4.0, '7"', 0.8)]

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            (rb'"5\""', '5"'),
            (rb'"a\\"', "a\\"),
            (rb'"\\\""', '\\"'),
            (rb'"a""b\"c"', 'a"b"c'),
            (rb"C:\new", r"C:\new"),
            (rb'"C:\new"', r"C:\new"),
            (rb"C:\\new", r"C:\new"),
            (rb"\"quoted\"", '"quoted"'),
            (rb"\\server\x", r"\server\x"),
            (rb"\N", r"\N"),
            (rb'"\n\t\,"', r"\n\t\,"),
            (b'"a\\\nb"', "a\\\nb"),
            (b'"a\\\r\nb\\\\"', "a\\\r\nb\\"),
            (rb"\\\\\ ", "\\\\\\ "),
            ('"é\\"é"'.encode(), 'é"é'),
            (b"\\", "\\"),
        ],
    )
    def test_before_the_quote_or_itself_it_makes_that_text_before_anything_else_it_is_text(
        self, write: Write, field: bytes, text: str
    ) -> None:
        records = [b"a,b", field + b",1", b"2," + field, field + b"," + field]
        expected = [(text, "1"), ("2", text), (text, text)]
        for end in (b"\n", b"\r\n", b"\r"):
            for sizes in ({}, {"piece_bytes": 20, "block_bytes": 5}):
                assert read(write(end.join(records)), BACKSLASH, **sizes) == (expected, [])

    def test_an_escaped_line_end_does_not_merge_records(self, write: Write) -> None:
        assert read(write(b'a,b\n1,C:\\\n2,"x\\""\n'), BACKSLASH)[0] == [("1", "C:\\"), ("2", 'x"')]

    def test_a_delimiter_behind_it_is_a_delimiter(self, write: Write) -> None:
        assert read(write(b'a,b\nx\\,"y\\""\n'), BACKSLASH)[0] == [("x\\", 'y"')]

    @pytest.mark.parametrize("options", [BACKSLASH, CsvOptions(quote=""), CsvOptions()], ids=str)
    def test_a_record_torn_at_an_escaped_delimiter_or_line_end_says_so(self, write: Write, options: CsvOptions) -> None:
        content = b"a,b\n1,New York\\, NY\n1\\\n2\n3,c\\\\,d\n4,c:\\d,e\n"
        rows, bad = read(write(content), options)
        assert rows == []
        causes = ["escaped delimiter", "escaped delimiter", "ragged", "ragged", "ragged"]
        assert [(cell.record, cell.cause) for cell in bad] == list(enumerate(causes))
        assert bad[0].reason.startswith("has 3 fields instead of 2; a backslash does not make a delimiter")

    def test_without_the_option_it_is_text(self, write: Write) -> None:
        rows, bad = read(write(b'a,b\n"x\\",1\n"y\\"",2\n'), CsvOptions())
        assert rows == [("x\\", "1")]
        assert bad[0].cause == "open quote"

    @pytest.mark.parametrize(
        ("text", "escaped"), [(b'a,"b"\n', False), (b"C:\\new,\\N\n", False), (b"a\\\\b\n", True), (b'"\\""\n', True)]
    )
    def test_a_piece_without_an_escape_that_acts_is_parsed_without_escape_char(
        self, text: bytes, escaped: bool
    ) -> None:
        assert (CsvParser(Dialect(escape="\\"), 1).piece(text, final=True).escapes is not None) == escaped

    def test_the_header_has_it_too(self, write: Write) -> None:
        facts = CsvSource(BACKSLASH).facts(write(b'"5\\" pipe",\\"b\\",C:\\new,"two\\\\"\n1,2,3,4\n'))
        assert [column.field.name for column in facts.columns] == ['5" pipe', '"b"', "C:\\new", "two\\"]

    def test_messages_and_the_quarantine_quote_the_original_bytes(self, write: Write) -> None:
        content = b'x,y\n1,"5\\""\nC:\\new,"7\\""\n2,"a\\"",\\\\3\n"\\"4","b\\""x\n5,\xff\\"\n'
        rows, bad = read(write(content), BACKSLASH, [Need("x", "numeric"), Need("y", "kept")])
        assert rows == [(1.0, '5"')]
        assert [(cell.column, cell.text, cell.cause) for cell in bad] == [
            ("x", "C:\\new", "no number"),
            ("", '2,"a\\"",\\\\3', "ragged"),
            ("", '"\\"4","b\\""x', "behind quote"),
            ("y", '\\xff"', "undecodable"),
        ]
        lines = [cell.line for cell in bad]
        assert lines == [line.decode("utf-8", "backslashreplace") for line in content.split(b"\n")[2:-1]]
        assert [cell.offset for cell in bad] == [content.index(line) for line in content.split(b"\n")[2:-1]]

    @pytest.mark.parametrize("cell", [b"1", b'"1"', b"\\1", b'\\"1', b'"\\\\1"', b"1,5", b"1e999", b"\\N"])
    def test_a_cell_is_judged_by_its_text(self, write: Write, cell: bytes) -> None:
        content = b'x;y\n%b;"\\"a"\n2;b\n' % cell
        options = CsvOptions(delimiter=";", escape="\\", nulls=("", "\\N"))
        rows, bad = read(write(content), options, [Need("x", "numeric"), Need("y", "kept"), Need("x", "kept")])
        if cell in {b"1", b'"1"', b"\\N"}:
            number = None if cell == b"\\N" else 1.0
            assert rows == [(number, '"a', cell.decode().strip('"')), (2.0, "b", "2")]
        else:
            text = {b'\\"1': '"1', b'"\\\\1"': "\\1"}.get(cell, cell.decode())
            assert (rows, [each.text for each in bad]) == ([(2.0, "b", "2")], [text])

    def test_kept_text_that_spells_null_by_an_escape_stays(self, write: Write) -> None:
        options = CsvOptions(escape="\\", nulls=("", "\\N", '"'))
        content = b'a,b\n\\\\N,1\n\\N,2\n\\",3\n"\\"",4\n'
        rows, _ = read(write(content), options, [Need("a", "kept"), Need("a", "categorical")])
        assert rows == [("\\N", None), ("\\N", None), ('"', None), ('"', '"')]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (CsvOptions(escape='"'), "quote and escape are both '\"'"),
            (CsvOptions(escape=";", delimiter=";"), "delimiter and escape are both ';'"),
            (CsvOptions(escape="#", comment="#"), "escape and comment are both '#'"),
            (CsvOptions(comment='"'), "quote and comment are both '\"'"),
            (CsvOptions(comment=","), "delimiter and comment are both ','"),
            (CsvOptions(escape="é"), "the escape must be one ASCII character, not 'é'"),
            (CsvOptions(comment="//"), "the comment must be one ASCII character, not '//'"),
            (CsvOptions(escape="\n"), "the escape must be one ASCII character"),
            (CsvOptions(skip_lines=-1), "skip_lines is -1: it must be at least 0"),
        ],
    )
    def test_characters_that_cannot_work_together_are_a_usage_error(self, options: CsvOptions, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            CsvSource(options)
        assert caught.value.message.startswith(message)
        assert caught.value.exit_code == 2

    def test_no_letter_of_the_probe_has_a_meaning(self) -> None:
        dialect = dialect_of(CsvOptions(delimiter="x", quote="v", escape="w", comment="y"))
        assert dialect.probe(2) == b"zvxx\n"
        dialect = dialect_of(CsvOptions(delimiter="?", quote=".", escape="!", comment="~"))
        assert dialect.mask()[0] == ord("^")


class TestNoQuote:
    @pytest.mark.parametrize("quote", ["none", ""])
    def test_quotes_are_text(self, write: Write, quote: str) -> None:
        content = b'"a",b\n"1,2"\n"x""y",\n'
        rows, bad = read(write(content), CsvOptions.given(quote=quote))
        frame = pd.read_csv(io.BytesIO(content), quoting=3, dtype=str)
        assert rows == list(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None))
        assert (list(frame.columns), bad) == (['"a"', "b"], [])

    def test_an_escape_is_only_before_itself(self, write: Write) -> None:
        content = b'a,b\n\\\\x,\\"y\nC:\\new,"\n'
        assert read(write(content), CsvOptions(quote="", escape="\\"))[0] == [("\\x", '\\"y'), ("C:\\new", '"')]


class TestSkipLines:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    @pytest.mark.parametrize("compressed", [False, True])
    def test_so_many_physical_lines_before_the_header_are_skipped(
        self, write: Write, encoding: str, compressed: bool
    ) -> None:
        for end, preamble in itertools.product(["\n", "\r\n", "\r"], ['"an open quote', ""]):
            text = end.join([preamble, '"two', 'lines"', "x,é", '1,"a', 'b"', "2,c", ""])
            content = text.encode(encoding)
            file = write(gzip.compress(content) if compressed else content)
            rows, bad = read(file, CsvOptions(skip_lines=3, encoding=encoding))
            assert (rows, bad) == ([("1", f"a{end}b"), ("2", "c")], [])
            assert rows[1:] == read(file, CsvOptions(skip_lines=6, encoding=encoding, columns=("x", "é")))[0]

    def test_as_pandas_and_duckdb_skip_them(self, write: Write) -> None:
        duckdb = pytest.importorskip("duckdb")
        content = b"Report 7\n\nof today\nx,y\n1,2\n3,4\n"
        file = write(content)
        rows, _ = read(file, CsvOptions(skip_lines=3), [Need("x", "numeric"), Need("y", "numeric")])
        assert rows == duckdb.sql(f"from read_csv('{file.location}', skip=3, header=true)").fetchall()
        assert rows == list(pd.read_csv(io.BytesIO(content), skiprows=3).itertuples(index=False, name=None))

    @pytest.mark.parametrize(
        ("content", "options", "message"),
        [
            (b"", CsvOptions(skip_lines=1), "data.csv has only 0 lines, and --skip-lines 1 skips more"),
            (b"one\n", CsvOptions(skip_lines=2), "data.csv has only 1 line, and --skip-lines 2 skips more"),
            (b"one\r\ntwo", CsvOptions(skip_lines=3), "data.csv has only 2 lines, and --skip-lines 3 skips more"),
            (b"1\n2\n", CsvOptions(skip_lines=3, columns=("x",)), "data.csv has only 2 lines, and --skip-lines 3"),
            (
                b"x\n1\n",
                CsvOptions(skip_lines=2),
                "data.csv has only 2 lines, and --skip-lines 2 leaves no header",
            ),
            (b"x" * 9_000_000, CsvOptions(skip_lines=1), "data.csv: the header does not end within 4 MiB"),
        ],
    )
    def test_a_file_too_short_for_them_is_a_clear_error(
        self, write: Write, content: bytes, options: CsvOptions, message: str
    ) -> None:
        with pytest.raises(DataError) as caught:
            CsvSource(options).facts(write(content))
        assert caught.value.message.startswith(message)
        assert caught.value.remedy

    def test_with_columns_all_lines_may_be_skipped(self, write: Write) -> None:
        assert read(write(b"1\n2\n"), CsvOptions(skip_lines=2, columns=("x",))) == ([], [])

    def test_the_preamble_may_be_longer_than_what_is_read_first(self, write: Write) -> None:
        content = b"".join(b"line %d, of a long story\n" % number for number in range(50_000)) + b"x\n1\n"
        for name in ("data.csv", "data.csv.gz"):
            file = write(gzip.compress(content) if name.endswith("gz") else content, name)
            assert read(file, CsvOptions(skip_lines=50_000))[0] == [("1",)]
            assert read(file, CsvOptions(comment="l"))[0] == [("1",)]


class TestComment:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_lines_before_the_header_that_begin_with_it_are_skipped(self, write: Write, end: bytes) -> None:
        content = end.join([b'# an "open quote', b"#", b"", b"#,,", b"x,y", b"1,a#b", b' # ,"#"', b""])
        rows, bad = read(write(content), CsvOptions(comment="#"))
        assert (rows, bad) == ([("1", "a#b"), (" # ", "#")], [])

    def test_behind_skipped_lines_and_before_the_first_record(self, write: Write) -> None:
        options = CsvOptions(comment="#", skip_lines=1, columns=("x", "y"))
        assert read(write(b"\xef\xbb\xbfmade\n\n# a\n\n#b\n1,2\n"), options) == ([("1", "2")], [])
        one = CsvOptions(comment="#", columns=("x",))
        assert read(write(b"# a\n\n1\n"), one) == ([(None,), ("1",)], [])

    def test_a_file_of_comments_has_no_columns(self, write: Write) -> None:
        facts = CsvSource(CsvOptions(comment="#")).facts(write(b"# a\n# b"))
        assert (list(facts.columns), facts.data_start) == ([], 7)

    @pytest.mark.parametrize(("end", "piece_bytes"), [(b"\n", 1), (b"\r\n", 12), (b"\r", 1000)])
    def test_behind_the_header_such_a_record_is_a_bad_row(self, write: Write, end: bytes, piece_bytes: int) -> None:
        lines = [b"x,y", b"# in the middle", b"1,a", b'#2,"b#"', b'"#3","c' + end + b'#d"', b"#"]
        rows, bad = read(write(end.join(lines)), CsvOptions(comment="#"), piece_bytes=piece_bytes)
        assert rows == [("1", "a"), ("#3", f"c{end.decode()}#d")]
        assert [(cell.record, cell.text, cell.cause) for cell in bad] == [
            (0, "# in the middle", "comment"),
            (2, '#2,"b#"', "comment"),
            (4, "#", "comment"),
        ]
        assert {cell.reason for cell in bad} == {"is a comment among records: it begins with #"}

    def test_without_the_option_it_is_text(self, write: Write) -> None:
        assert read(write(b"#x,y\n#1,2\n"), CsvOptions())[0] == [("#1", "2")]


class TestLineEndsInsideQuotes:
    @pytest.mark.parametrize(
        ("content", "count"),
        [
            (b'x,y\n1,"a"\n2,b\n', 0),
            (b'x,y\n1,"a\nb"\n2,"c\r\nd"\n3,"e\rf"\n', 3),
            (b'x,y\r\n1,"a\r\nb"\r\n\r\n\r\n2,"c\n"\r\n', 2),
            (b'x,y\r1,"a\rb"\r\r2,c', 1),
            (b'\n\nx,y\n\n1,"a\n\n\nb"\n\n2,"\n"\n\n\n', 4),
            (b'x,y\n1,"a\n2,b\n3,c"\n', 2),
            (b'x\n"a\n\nb"\n\n"c"\n\n', 2),
            (b'x\r\n"a\r\n\r\nb"\r\n\r\n"c"', 2),
            (b'x,y\n1,12" pipe\n2,a\n', 0),
            (b'x,y\n1,"a\n"b\n2,a\n', 1),
            (b'x,y\n1,2,"a\n"\n2,"a"\n', 1),
            (b'x,y\n1,"a\\"\n\\\\"\n2,a\n', 1),
        ],
    )
    def test_their_number_is_an_event_whenever_there_are_any(self, write: Write, content: bytes, count: int) -> None:
        found = events(write(content), CsvOptions(escape="\\"))
        assert found.get("line ends inside quotes", 0) == count
        assert ("line ends inside quotes" in found) == bool(count) or "odd quoting" in found

    def test_no_quotes_no_line_ends_in_them(self, write: Write) -> None:
        assert events(write(b'x,y\n1,"a\nb",2\n'), CsvOptions(quote="")) == {}


def test_quoted_records_of_5000_fields_that_fill_the_memory_of_a_piece_exactly(write: Write) -> None:
    header = ",".join(f"c{number}" for number in range(5_000)).encode() + b"\n"
    records = [b'"%03d' % number + b"x" * 3_187 + b'"' + b"," * 4_999 + b"\n" for number in range(50)]
    assert {len(record) for record in records} == {8 * KIB}
    source = CsvSource(CsvOptions())
    facts = source.facts(write(header + b"".join(records)))
    rows, _, told = read_told(source, facts, whole(facts), [Need("c0", "kept")], 16)
    assert [text[:3] for (text,) in rows] == [f"{number:03d}" for number in range(50)]
    assert not told.bad
