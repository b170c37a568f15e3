"""Names and texts that want to be more than that: paths, orders to a terminal, other lines. See test_fault_rows.py."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError, InputMissingError, LogitstreamError, UsageError
from pipeline.sources import discover, source_for
from pipeline.types.inputs import CsvOptions, InputFile, Need
from tests.contracts.source import read_told, whole

NAUGHTY = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http:evil\x1b\\\\click",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "clear": "\x1b[2J\x1b[H",
    "line feed": "a\nerror: all is well",
    "carriage return": "a\rok",
    "CR LF": "a\r\nb",
    "backspace": "rm\b\b  ",
    "bell": "\x07\x07",
    "delete": "\x7f",
    "tab and vertical tab": "a\tb\vc\fd",
    "C1 introducer": "\x9b31m",
    "next line": "a\x85b",
    "line separator": "a\u2028b\u2029c",
    "right to left override": "gpj.\u202eexe",
    "isolates": "\u2066a\u2069",
    "zero width": "a\u200bb\u200d\ufeff",
    "no-break space": "a\u00a0b",
    "tags": "a\U000e0041",
    "private": "\ue000\U0010fffd",
    "not assigned": "\u0378",
    "no UTF-8": "a\udcff\udc80",
    "percent": "%s%n%d %1$s {0} {x!r} $HOME `id`",
    "quotes": "a'b\"c\\\\d",
    "formula": "=1+1",
    "markup": "[bold red]x[/]",
    "long": "x" * 200,
}
VALID = {name: text for name, text in NAUGHTY.items() if name != "no UTF-8"}
EVIL = "\x1b[31m\n\x9b"


def naughty(texts: dict[str, str] = NAUGHTY) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("text", texts.values(), ids=texts.keys())


def shown(error: LogitstreamError) -> str:
    """Return a message, having checked that it is one line of printable characters that any encoding can write."""
    assert error.message.isprintable(), ascii(error.message)
    assert error.remedy.isprintable(), ascii(error.remedy)
    str(error).encode()
    assert len(error.message) < 3000
    return error.message


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raised(kind: type[LogitstreamError], *inputs: str) -> str:
    with pytest.raises(kind) as caught:
        facts_of_all(*inputs)
    return shown(caught.value)


def facts_of_all(*inputs: str) -> None:
    for file in discover(inputs).files:
        source_for(file.format, CsvOptions()).facts(file)


def below(folder: Path, name: str) -> Path:
    return folder / name.replace("/", "-")


class TestPaths:
    VALUES = ("../../etc", "/etc/passwd", "..", ".", "~", "$HOME", "a/b", "NUL", "-rf", "a\0b", "x" * 80)

    @pytest.mark.parametrize("value", VALUES)
    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_s08_a_value_in_a_path_never_becomes_a_path(self, at: Path, value: str, ending: str) -> None:
        folder = at / f"k={quote(value, safe='').replace('.', '%2E')}"
        folder.mkdir()
        path = folder / f"f.{ending}"
        if ending == "csv":
            path.write_text("x\n1\n")
        else:
            pq.write_table(pa.table({"x": ["1"]}), path)
        (file,) = discover(["."]).files
        assert file.partitions == (("k", value),)
        assert (file.path, file.location) == (f"{folder.name}/f.{ending}", str(path))
        source = source_for(file.format, CsvOptions())
        facts = source.facts(file)
        rows, _, _ = read_told(source, facts, whole(facts), [Need("k", "kept"), Need("x", "kept")], 10)
        assert rows == [(value, "1")]


@pytest.mark.parametrize("argument", ["", "\0", "a\0b.csv", "/etc/\0/../passwd"])
def test_s08_names_that_are_no_inputs(at: Path, argument: str) -> None:
    assert "is not the name of an input" in raised(UsageError, argument)


@pytest.mark.parametrize("argument", ["x" * 300, "x/" * 3000, "*" + "x" * 5000, "[" * 300, "../" * 2000 + "none"])
def test_s08_names_that_the_system_does_not_take(at: Path, argument: str) -> None:
    raised(InputMissingError, argument)


@naughty()
def test_s13_names_of_files_are_escaped(at: Path, text: str) -> None:
    folder = at / "in"
    folder.mkdir()
    raised(InputMissingError, f"in/{text}.csv")
    for ending, content in ((".parquet", b""), (".csv", b"PAR1"), (".csv.gz", b"a,b\n"), (".CSV", b"a,\0\n")):
        path = below(folder, text + ending)
        path.write_bytes(content)
        raised(DataError, "in")
        path.unlink()
    os.mkfifo(below(folder, text + ".csv"))
    raised(DataError, "in")
    below(folder, text + ".csv").unlink()
    below(folder, text + ".md").touch()
    (folder / "f.csv").touch()
    assert all(name.isprintable() for name in discover(["in"]).skipped)


@naughty(VALID)
def test_s13_names_of_columns_are_escaped(at: Path, text: str) -> None:
    quoted = '"' + text.replace('"', '""') + '"'
    (at / "f.csv").write_bytes(f"{quoted},{quoted},b\n1,2,3\n".encode())
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, [text, text, "b"]), at / "f.parquet")
    for file in discover(["f.csv", "f.parquet"]).files:
        source = source_for(file.format, CsvOptions())
        facts = source.facts(file)
        for name in (text, "none", text + EVIL):
            with pytest.raises(LookupError) as caught:
                source.field(facts, Need(name, "kept"))
            assert caught.value.args[0].isprintable()


@naughty()
def test_s13_values_in_a_path_are_escaped(at: Path, text: str) -> None:
    folder = below(at, f"k={text}")
    folder.mkdir()
    (folder / "f.csv").write_text("x\n1\n")
    if "\udcff" in text:
        assert "is not valid UTF-8" in raised(DataError, ".")
        return
    (file,) = discover(["."]).files
    source = source_for(file.format, CsvOptions())
    facts = source.facts(file)
    with pytest.raises(LookupError, match="in the path, which is not a number") as caught:
        source.field(facts, Need("k", "numeric"))
    assert caught.value.args[0].isprintable()
    (folder / "k=again").mkdir()
    (folder / "k=again" / "g.csv").touch()
    assert "twice" in raised(DataError, ".")


@naughty(VALID)
def test_s13_what_a_footer_or_a_header_says_is_escaped(at: Path, text: str) -> None:
    (at / "f.parquet").write_bytes(text.encode() + b"PAR1")
    raised(DataError, "f.parquet")
    (at / "f.parquet").unlink()
    (at / "g.csv").write_bytes(b"\xff" + text.encode().replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
    assert "is not valid utf-8" in raised(DataError, "g.csv")


def test_the_cells_of_bad_records_are_kept_as_they_are(at: Path) -> None:
    # what shows them escapes them: a quarantine wants the text itself
    path = at / "f.csv"
    path.write_bytes(f"x,y\n{VALID['colour']},1\n".encode())
    source = source_for("csv", CsvOptions())
    facts = source.facts(InputFile("f.csv", str(path), 0, "csv"))
    _, _, told = read_told(source, facts, whole(facts), [Need("x", "numeric")], 10)
    assert [(cell.text, cell.line) for cell in told.bad] == [(VALID["colour"], VALID["colour"] + ",1")]
