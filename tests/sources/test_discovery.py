from __future__ import annotations

import gzip
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import (
    DataError,
    InputMissingError,
    LogitstreamError,
    PermissionDeniedError,
    UsageError,
)
from pipeline.sources import CsvSource, ParquetSource, discover, source_for
from pipeline.sources.partitions import parse_segment
from pipeline.types.inputs import CsvOptions

NL = (("country", "NL"),)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def paths(*inputs: str) -> list[str]:
    return [file.path for file in discover(inputs).files]


def refused(kind: type[LogitstreamError], match: str, *inputs: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        discover(inputs)
    assert type(caught.value) is kind


def test_a_file_a_folder_and_a_pattern(at: Path) -> None:
    touch("data/b.parquet", "data/a.csv", "data/deep/er/c.pq", "one.csv")
    assert paths("data/a.csv") == ["a.csv"]
    assert paths("data") == paths("./data/") == paths(str(at / "data")) == ["a.csv", "b.parquet", "deep/er/c.pq"]
    assert paths("data/*.csv") == ["a.csv"]
    assert paths("data/**/*.pq") == ["deep/er/c.pq"]
    assert paths("data/**") == paths("data/**/*") == ["a.csv", "b.parquet", "deep/er/c.pq"]
    assert paths("d?ta/[ab].*") == ["data/a.csv", "data/b.parquet"]
    assert paths("data/*") == ["a.csv", "b.parquet", "deep/er/c.pq"]
    assert paths(".") == ["data/a.csv", "data/b.parquet", "data/deep/er/c.pq", "one.csv"]


def test_order_is_by_relative_path_and_then_by_argument(at: Path) -> None:
    touch("x/b.csv", "x/a.csv", "y/b.csv", "y/a.csv", "z.csv")
    found = discover(["y", "z.csv", "x"]).files
    assert [(file.path, file.position) for file in found] == [
        ("a.csv", 0),
        ("a.csv", 2),
        ("b.csv", 0),
        ("b.csv", 2),
        ("z.csv", 1),
    ]
    assert [file.location for file in found][:2] == [str(at / "y/a.csv"), str(at / "x/a.csv")]


@pytest.mark.parametrize("ending", [".parquet", ".pq", ".parq", ".PARQUET", ".snappy.parquet"])
def test_endings_of_parquet(at: Path, ending: str) -> None:
    touch(f"data/x{ending}")
    assert discover(["data"]).files[0].format == "parquet"


@pytest.mark.parametrize("base", [".csv", ".tsv", ".txt", ".CSV"])
@pytest.mark.parametrize("compressed", ["", ".gz", ".gzip", ".zst", ".zstd", ".GZ"])
def test_endings_of_csv(at: Path, base: str, compressed: str) -> None:
    touch(f"data/x{base}{compressed}")
    assert discover(["data"]).files[0].format == "csv"


def test_a_file_named_itself_is_known_by_its_content(at: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), "table.dat")
    Path("packed.dat").write_bytes(gzip.compress(b"x\n1\n"))
    Path("squeezed.dat").write_bytes(pa.compress(b"x\n1\n", "zstd", asbytes=True))
    Path("plain").write_bytes(b"x\n1\n")
    touch("empty.dat")
    formats = {name: discover([name]).files[0].format for name in os.listdir()}  # noqa: PTH208
    assert formats == {
        "table.dat": "parquet",
        "packed.dat": "csv",
        "squeezed.dat": "csv",
        "plain": "csv",
        "empty.dat": "csv",
    }
    assert [file.format for file in discover(["*.dat"]).files] == ["csv", "csv", "csv", "parquet"]


def test_other_endings_in_a_folder_are_skipped_and_told(at: Path) -> None:
    touch("data/a.csv", "data/read\nme.md", "data/deep/x.parquet.crc", "data/x.json")
    for argument in ("data", "data/*", "data/**"):
        found = discover([argument])
        assert [file.path for file in found.files] == ["a.csv"]
        assert found.skipped == ("deep/x.parquet.crc", "read\\nme.md", "x.json (JSON)")


def test_hidden_names_and_manifests_are_skipped(at: Path) -> None:
    touch("d/a.csv", "d/.b.csv", "d/_c.csv", "d/_manifest.json", "d/_manifest.receipts", "d/_SUCCESS")
    touch("d/.out.logitstream/jobs/part.parquet", "d/_tmp/x.csv", "d/sub/_y.csv", "d/sub/z.csv")
    for argument in ("d", "d/**/*", "d/*"):
        found = discover([argument])
        assert [file.path for file in found.files] == ["a.csv", "sub/z.csv"]
        assert found.skipped == ()
    assert paths("d/_c.csv") == paths("d/_[c].csv") == ["_c.csv"]
    assert paths("d/.*.csv") == [".b.csv"]
    assert paths("d/_tmp") == ["x.csv"]
    refused(UsageError, r"^d/_manifest.json is a manifest, not data", "d/_manifest.json")


def test_an_argument_below_a_hidden_folder(at: Path) -> None:
    touch(".cache/_x/a.csv")
    assert paths(".cache/_x") == ["a.csv"]


def test_hive_folders(at: Path) -> None:
    touch(
        "sales/country=NL/year=2013/a.parquet",
        "sales/country=N%2FL%3D%C3%A9/year=__HIVE_DEFAULT_PARTITION__/a.parquet",
        "sales/_shard=1/x=/a.parquet",
        "sales/plain/=odd/k=a=b/f=1.csv",
    )
    found = {file.path: file.partitions for file in discover(["sales"]).files}
    assert found == {
        "country=NL/year=2013/a.parquet": (("country", "NL"), ("year", "2013")),
        "country=N%2FL%3D%C3%A9/year=__HIVE_DEFAULT_PARTITION__/a.parquet": (("country", "N/L=é"), ("year", None)),
        "_shard=1/x=/a.parquet": (("_shard", "1"), ("x", "")),
        "plain/=odd/k=a=b/f=1.csv": (("k", "a=b"),),
    }


def test_partitions_that_the_argument_ends_in_count(at: Path) -> None:
    touch("sales/country=NL/part.parquet")
    for argument in (
        "sales",
        "sales/country=NL",
        "sales/country=NL/",
        "sales/*/*.parquet",
        "sales/country=NL/*.parquet",
        "sales/country=NL/part.parquet",
        str(at / "sales/./country=NL"),
    ):
        file = discover([argument]).files[0]
        assert (file.path, file.partitions) == ("country=NL/part.parquet", NL), argument


def test_partitions_further_up_do_not_count(at: Path) -> None:
    touch("run=5/data/country=NL/part.parquet", "run=5/data/x.csv")
    assert [file.partitions for file in discover(["run=5/data"]).files] == [NL, ()]
    assert discover(["run=5/data/x.csv"]).files[0].partitions == ()


def test_a_partition_twice_or_not_utf8(at: Path) -> None:
    touch("a/k=1/k=2/x.csv", "b/k=%FF/x.csv")
    refused(DataError, r"^the path k=1/k=2/ states 'k' twice", "a")
    refused(DataError, r"^the folder name k=%FF is not valid UTF-8", "b")
    touch(os.fsdecode(b"c/k=\xff/x.csv"))
    refused(DataError, r"is not valid UTF-8", "c")


def test_names_that_are_not_utf8_are_found(at: Path) -> None:
    os.mkdir("d")  # noqa: PTH102
    Path(os.fsdecode(b"d/\xff.csv")).touch()
    assert paths("d") == [os.fsdecode(b"\xff.csv")]


@settings(max_examples=100)
@given(key=st.text(min_size=1), value=st.text())
def test_any_text_survives_a_folder_name(key: str, value: str) -> None:
    from urllib.parse import quote

    assert parse_segment(f"{quote(key, safe='')}={quote(value, safe='')}") in {
        (key, value),
        (key, None if value == "__HIVE_DEFAULT_PARTITION__" else value),
    }


def test_symbolic_links_are_followed_under_their_own_names(at: Path) -> None:
    touch("real/2013.csv", "data/own.csv")
    Path("data/link.csv").symlink_to("../real/2013.csv")
    found = discover(["data"]).files
    assert [(file.path, file.location) for file in found] == [
        ("link.csv", str(at / "real/2013.csv")),
        ("own.csv", str(at / "data/own.csv")),
    ]
    Path("folder").symlink_to("real")
    file = discover(["folder"]).files[0]
    assert (file.path, file.location) == ("2013.csv", str(at / "real/2013.csv"))
    Path("data/below").symlink_to("../real")
    refused(UsageError, r"^a file is named twice, as below/2013.csv", "data")


def test_loops_and_dangling_links(at: Path) -> None:
    touch("loop/a.csv", "dangling/a.csv", "self/a.csv")
    Path("loop/back").symlink_to(".")
    refused(DataError, r"^the folders below back/ form a loop of symbolic links", "loop")
    refused(DataError, r"form a loop", "loop/**/*.csv")
    Path("dangling/b.csv").symlink_to("gone.csv")
    refused(InputMissingError, r"^b.csv is a symbolic link to a file that does not exist", "dangling")
    refused(InputMissingError, r"^dangling/b.csv is a symbolic link to a file that does not exist", "dangling/b.csv")
    Path("self/b.csv").symlink_to("b.csv")
    refused(UsageError, r"b.csv is a symbolic link that leads to itself", "self")
    refused(UsageError, r"self/b.csv is a symbolic link that leads to itself", "self/b.csv")


def test_a_file_named_twice(at: Path) -> None:
    touch("d/a.csv", "d/b.csv")
    Path("other").symlink_to("d")
    refused(UsageError, r"^a file is named twice, as a.csv \(of d\) and a.csv \(of d/a.csv\): its rows", "d", "d/a.csv")
    refused(UsageError, r"named twice", "d/a.csv", "./d/a.csv")
    refused(UsageError, r"named twice", "d", "other")
    assert paths("d/**/**/*.csv") == ["a.csv", "b.csv"]


def test_nothing_found(at: Path) -> None:
    touch("d/readme.md", "d/x.json", "e/_hidden.csv", "f.csv/x")
    refused(InputMissingError, r"^no such input: none\ncheck the path$", "none")
    refused(InputMissingError, r"^no such input: none/deep", "none/deep/*.csv")
    refused(InputMissingError, r"^nothing matches d/\*.csv", "d/*.csv")
    refused(InputMissingError, r"^the folder d contains no Parquet or CSV file; 2 files with other endings", "d")
    refused(InputMissingError, r"^the folder e contains no Parquet or CSV file\n", "e")
    refused(InputMissingError, r"^no such input: d/readme.md/x", "d/readme.md/x")
    refused(InputMissingError, r"^no such input: s3://bucket/x\ncopy the data to a local file", "s3://bucket/x")
    refused(InputMissingError, r"^no such input: x+", "x" * 300)


def test_arguments_that_are_no_names(at: Path) -> None:
    refused(UsageError, r"is not the name of an input", "")
    refused(UsageError, r"^'a\\x00b' is not the name of an input", "a\0b")


def test_control_characters_are_shown_escaped(at: Path) -> None:
    refused(InputMissingError, r"^no such input: a\\nb\\x1b\n", "a\nb\x1b")
    touch("d\x07/x.md")
    refused(InputMissingError, r"^the folder d\\x07 contains no", "d\x07")


def test_a_name_that_exists_is_no_pattern(at: Path) -> None:
    touch("a[1].csv", "a1.csv", "d[1]/x.csv")
    assert paths("a[1].csv") == ["a[1].csv"]
    assert paths("d[1]") == ["x.csv"]


def test_what_is_no_file(at: Path) -> None:
    os.mkfifo("pipe.csv")
    refused(DataError, r"^pipe.csv is a FIFO; only files can be read as data", "pipe.csv")
    refused(DataError, r"^/dev/null is a character device", "/dev/null")
    touch("d/a.csv")
    os.mkfifo("d/b.csv")
    refused(DataError, r"^b.csv is a FIFO", "d")
    Path("d/b.csv").rename("d/b.fifo")
    assert discover(["d"]).skipped == ("b.fifo",)
    refused(DataError, r"^b.fifo is a FIFO", "d/*.fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock.csv")
        refused(DataError, r"^sock.csv is a socket", "sock.csv")


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder, and the rights of a user who owns nothing in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    mine = os.geteuid()
    (folder / "shut").mkdir()
    (folder / "shut" / "x.csv").touch()
    (folder / "x.dat").touch(0o000)
    (folder / "x.dat").chmod(0o000)
    (folder / "shut").chmod(0o000)
    if mine == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(mine)
    (folder / "shut").chmod(0o700)
    shutil.rmtree(folder)


def test_what_the_system_refuses(nobody: Path) -> None:
    shown = re.escape(str(nobody))
    refused(PermissionDeniedError, f"^{shown}/shut cannot be read: Permission denied", str(nobody / "shut"))
    refused(PermissionDeniedError, r"^shut/ cannot be read: Permission denied", str(nobody))
    refused(PermissionDeniedError, r"shut/x.csv cannot be read: Permission denied", str(nobody / "shut" / "x.csv"))
    refused(PermissionDeniedError, r"^x\.dat cannot be read: Permission denied", str(nobody / "x.dat"))


def test_many_files_in_little_time(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / f"day={folder}").mkdir()
        descriptor = os.open(tmp_path / f"day={folder}", os.O_RDONLY)
        for number in range(1000):
            os.close(os.open(f"{number}.parquet", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.close(descriptor)
    started = time.process_time()
    assert len(discover([str(tmp_path)]).files) == 20_000
    assert time.process_time() - started < 1.5
    shutil.rmtree(tmp_path)


def test_each_format_has_its_source() -> None:
    assert isinstance(source_for("parquet", CsvOptions()), ParquetSource)
    assert isinstance(source_for("csv", CsvOptions()), CsvSource)
