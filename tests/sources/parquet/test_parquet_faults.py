"""Odd, damaged and hostile Parquet files: the right rows, or a refusal that names the file. See test_fault_rows.py."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.sources import content_digest
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from tests.contracts.source import open_descriptors, whole

SOURCE = ParquetSource()
ROOT = Path(__file__).parents[3]


def put(folder: Path, content: bytes | pa.Table, **options: object) -> InputFile:
    path = folder / "x.parquet"
    if isinstance(content, pa.Table):
        pq.write_table(content, path, **options)
    else:
        path.write_bytes(content)
    return InputFile("x.parquet", str(path), 0, "parquet")


def bytes_of(table: pa.Table, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def read(file: InputFile, *names: str) -> pa.Table:
    facts = SOURCE.facts(file)
    needs = [Need(name, "kept") for name in names or [column.field.name for column in facts.columns]]
    with SOURCE.read(file, facts.identity, whole(facts), needs, 1000) as reader:
        return pa.Table.from_batches(list(reader), pa.schema([SOURCE.field(facts, need) for need in needs]))


def refused(file: InputFile, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read(file)
    assert type(caught.value) is DataError
    assert caught.value.message.isprintable()
    assert open_descriptors(file.location) == 0


MUTATE = r"""
import io, json, random, sys
import pyarrow as pa, pyarrow.parquet as pq
from pipeline.errors import LogitstreamError
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from pipeline.types.rows import Slice

path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chosen = random.Random(seed)
table = pa.table({
    "n": range(50), "t": [f"text {n % 7}" for n in range(50)], "l": [[n, None] for n in range(50)],
    "s": [{"a": n, "b": ["x"] * (n % 3)} for n in range(50)], "m": pa.array([[("k", n)] for n in range(50)],
    pa.map_(pa.string(), pa.int64())), "d": pa.array(range(50), pa.timestamp("ns", "UTC")),
})
seeds = []
for options in (
    {"compression": "none"}, {"compression": "zstd", "write_page_checksum": True}, {"use_dictionary": False},
    {"data_page_version": "2.0", "compression": "gzip"}, {"write_page_index": True, "compression": "brotli"},
    {"use_deprecated_int96_timestamps": True, "compression": "lz4"}, {"store_schema": False, "row_group_size": 9},
    {"column_encoding": {"n": "DELTA_BINARY_PACKED"}, "use_dictionary": ["t"]},
):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    seeds.append(buffer.getvalue())


def changed(text, times):
    text = bytearray(text)
    for _ in range(times):
        at, kind = chosen.randrange(len(text)), chosen.choice("bbbvvdis")
        if kind == "b":
            text[at] ^= 1 << chosen.randrange(8)
        elif kind == "v":
            text[at] = chosen.choice((0, 0x7F, 0x80, 0xFF, 0x15, 0x19, 0x1C))
        elif kind == "d":
            del text[at : at + chosen.randint(1, 8)]
        elif kind == "i":
            text[at:at] = chosen.randbytes(chosen.randint(1, 8))
        else:
            start = chosen.randrange(len(text))
            text[at : at + 16] = text[start : start + 16]
    return bytes(text)


def mutant():
    content = chosen.choice(seeds)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    pages, footer = content[4:start], content[start:-8]
    if chosen.random() < 0.7:
        footer = changed(footer, chosen.randint(1, 3))
    else:
        pages = changed(pages, 1)
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


outcomes = {}
for number in range(count):
    content = mutant()
    open(path, "wb").write(content)
    print(number, file=sys.stderr, flush=True)
    try:
        source = ParquetSource()
        file = InputFile("x.parquet", path, 0, "parquet")
        facts = source.facts(file)
        needs = []
        for name in dict.fromkeys(column.field.name for column in facts.columns):
            try:
                source.field(facts, Need(name, "kept"))
                needs.append(Need(name, "kept"))
            except LookupError:
                pass
        with source.read(file, facts.identity, Slice(0, 0, len(facts.group_rows), None), needs, 7) as reader:
            rows = sum(batch.num_rows for batch in reader)
        assert rows == facts.rows
        outcome = "read"
    except LogitstreamError as error:
        assert error.message.startswith("x.parquet"), error.message
        assert error.message.isprintable(), ascii(error.message)
        outcome = type(error).__name__
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(outcomes | {"peak": int(peak.split()[1]) // 1024}))
"""


# LOGITSTREAM_MUTANTS=20000 looks for longer
@pytest.mark.parametrize("seed", [1, 2])
def test_q02_mutants_are_read_or_refused_by_name_and_never_crash(tmp_path: Path, seed: int) -> None:
    count = int(os.environ.get("LOGITSTREAM_MUTANTS", "400"))
    command = [sys.executable, "-c", MUTATE, str(tmp_path / "x.parquet"), str(seed), str(count)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60 + count / 10, cwd=ROOT, env={"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = json.loads(done.stdout)
    # the header of a page may claim up to 2 GiB, and Arrow takes them before it finds out
    assert outcomes.pop("peak") < 2560
    assert sum(outcomes.values()) == count
    assert outcomes["DataError"] > count / 10
    assert outcomes["read"] > count / 10


def test_q03_rows_of_nested_columns_are_counted_against_the_footer(tmp_path: Path) -> None:
    content = bytes_of(pa.table({"l": [[1, 2, 3]] * 100}), use_dictionary=False, compression="none")
    hundred, more = b"\x16\xc8\x01", b"\x16\xca\x01"
    assert content.count(hundred) == 2
    refused(put(tmp_path, content.replace(hundred, more)), "have 101 rows in the footer, but 100 were read")


def test_q06_holes_of_zeros_are_noticed_by_the_page_checksums(tmp_path: Path) -> None:
    table = pa.table({"n": range(20_000), "t": [f"text {n}" for n in range(20_000)]})
    content = bytes_of(table, compression="none", write_page_checksum=True)
    metadata = pq.read_metadata(io.BytesIO(content)).row_group(0)
    last = metadata.column(1)
    stop = (last.dictionary_page_offset or last.data_page_offset) + last.total_compressed_size
    for start in range(4, stop - 4096, 16_384):
        refused(put(tmp_path, content[:start] + bytes(4096) + content[start + 4096 :]), r"^x\.parquet is damaged")


def test_q07_a_flip_without_checksums_shows_in_the_full_fingerprint_alone(tmp_path: Path) -> None:
    content = bytearray(bytes_of(pa.table({"n": range(100)}), compression="none", use_dictionary=False))
    file = put(tmp_path, bytes(content))
    planned = SOURCE.facts(file, full=True).identity
    content[content.index((42).to_bytes(8, "little"))] ^= 1
    put(tmp_path, bytes(content))
    os.utime(file.location, ns=(planned.mtime_ns, planned.mtime_ns))
    # the documented limit: another value, and no error
    assert read(file).column(0).to_pylist()[41:44] == [41, 43, 43]
    assert content_digest(file) != planned.content


def test_q08_a_ratio_is_no_error(tmp_path: Path) -> None:
    file = put(tmp_path, pa.table({"z": np.zeros(4_000_000)}), compression="zstd", use_dictionary=False)
    size = Path(file.location).stat().st_size
    assert 1000 * size < 4_000_000 * 8
    facts = SOURCE.facts(file)
    peak, before, rows = 0, pa.total_allocated_bytes(), 0
    with SOURCE.read(file, facts.identity, whole(facts), [Need("z", "numeric")], 4096) as reader:
        for batch in reader:
            rows += batch.num_rows
            peak = max(peak, pa.total_allocated_bytes() - before)
    assert rows == 4_000_000
    assert peak < 8_000_000


def test_q08_a_batch_of_a_bomb_is_known_by_its_bytes_before_the_next_one(tmp_path: Path) -> None:
    file = put(tmp_path, pa.table({"l": [np.zeros(200_000)] * 40}), compression="zstd", use_dictionary=False)
    assert Path(file.location).stat().st_size < 200_000
    facts = SOURCE.facts(file)
    assert facts.columns[0].decoded_bytes > 40 * 200_000 * 8
    with SOURCE.read(file, facts.identity, whole(facts), [Need("l", "kept")], 1) as reader:
        for batch in reader:
            assert 200_000 * 8 <= batch.nbytes < 2 * 200_000 * 8


def varint(number: int) -> bytes:
    word = b""
    while number > 0x7F:
        word += bytes([number & 0x7F | 0x80])
        number >>= 7
    return word + bytes([number])


@pytest.mark.parametrize(
    "footer",
    [
        b"\x15\x04\x19\xfc" + varint(1 << 30),
        b"\x15\x04\x19\xfc" + varint(2_000_000) + b"\x48\x01a\x00" * 2_000_000,
        b"\x15\x04\x58" + varint((1 << 31) - 1),
        b"\x15\x04\x58" + varint(101 << 20) + b"x" * (101 << 20) + b"\x00",
        b"\x1c" * 1_000_000,
    ],
    ids=["list that lies", "two million columns", "text that lies", "text of 101 MiB", "structs in structs"],
)
def test_q09_footers_made_to_exhaust_memory(tmp_path: Path, footer: bytes) -> None:
    started = time.process_time()
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    refused(put(tmp_path, content), r"^x\.parquet is damaged or not readable as Parquet")
    assert time.process_time() - started < 5


def test_q10_of_many_columns_those_needed_are_read(tmp_path: Path) -> None:
    wide = 10_000
    file = put(tmp_path, pa.table({f"c{number}": [number] for number in range(wide)}), compression="none")
    facts = SOURCE.facts(file)
    assert len(facts.columns) == wide
    with SOURCE.read(file, facts.identity, whole(facts), [Need("c9999", "kept"), Need("c7", "kept")], 10) as reader:
        assert [batch.to_pylist() for batch in reader] == [[{"c9999": 9_999, "c7": 7}]]
    assert reader.bytes_read < 1000


def test_q16_each_row_group_has_a_dictionary_of_its_own(tmp_path: Path) -> None:
    texts = [f"level {number // 100}" for number in range(1000)]
    arrow = pa.chunked_array([pa.array(texts[at : at + 100][::-1]).dictionary_encode() for at in range(0, 1000, 100)])
    expected = [text for at in range(0, 1000, 100) for text in texts[at : at + 100][::-1]]
    file = put(tmp_path, pa.table({"t": expected, "d": arrow}), row_group_size=70)
    facts = SOURCE.facts(file)
    needs = [Need("t", "categorical"), Need("t", "kept"), Need("d", "categorical"), Need("d", "kept")]
    columns: list[list[object]] = [[], [], [], []]
    with SOURCE.read(file, facts.identity, whole(facts), needs, 33) as reader:
        for batch in reader:
            columns = [column + array.to_pylist() for column, array in zip(columns, batch.columns, strict=True)]
    assert columns == [expected] * 4


def test_q25_statistics_that_lie_change_nothing(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array([5, 6, 7_777_777], pa.int64())})
    content = bytes_of(table, compression="none", use_dictionary=False)
    value, lie = (7_777_777).to_bytes(8, "little"), (1).to_bytes(8, "little")
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    file = put(tmp_path, content[:footer] + content[footer:].replace(value, lie))
    assert pq.read_metadata(file.location).row_group(0).column(0).statistics.max == 1
    assert read(file).equals(table)


def test_q28_lz4_as_hadoop_names_it(tmp_path: Path) -> None:
    table = pa.table({"n": range(1000), "t": ["abc"] * 1000})
    content = bytes_of(table, compression="lz4")
    assert content.count(b"\x15\x0e\x16") == 2
    assert read(put(tmp_path, content.replace(b"\x15\x0e\x16", b"\x15\x0a\x16"))).equals(table)


def test_q28_gzip_members_one_behind_the_other(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array([number % 10 for number in range(1000)], pa.int64())})
    content = bytes_of(table, compression="gzip", compression_level=1, use_dictionary=False)
    column = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0)
    start, stop = content.index(b"\x1f\x8b\x08"), column.data_page_offset + column.total_compressed_size
    page = gzip.decompress(content[start:stop])
    first = gzip.compress(page[:4000], mtime=0)
    second = commented(gzip.compress(page[4000:], mtime=0), stop - start - len(first))
    assert gzip.decompress(first + second) == page
    assert read(put(tmp_path, content[:start] + first + second + content[stop:])).equals(table)


def commented(member: bytes, size: int) -> bytes:
    """Return a gzip member of a given size, by a comment in its header."""
    comment = b"x" * (size - len(member) - 1) + b"\0"
    return member[:3] + bytes([member[3] | 0x10]) + member[4:10] + comment + member[10:]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"parquet-cpp-arrow", b"\xff\x1b[31mwriter\n\0 v1"),
        (b"parquet-cpp-arrow", b"parquet-mr versio"),
        (b"\x4c\x1c\x00\x00", b"\x4c\xfc\x00\x00"),
    ],
    ids=["no text", "another writer", "unknown logical type"],
)
def test_q28_a_footer_that_says_odd_things(tmp_path: Path, old: bytes, new: bytes) -> None:
    content = bytes_of(pa.table({"t": ["abc", "d"]}), compression="none", store_schema=False)
    assert content.count(old) == 1
    assert len(old) == len(new)
    texts = read(put(tmp_path, content.replace(old, new))).column(0).cast(pa.string())
    assert texts.to_pylist() == ["abc", "d"]


class _Unknown(pa.ExtensionType):
    def __init__(self) -> None:
        super().__init__(pa.int64(), "somebody.unknown")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> _Unknown:
        return cls()


def test_q30_unknown_extension_types_come_as_they_are_stored(tmp_path: Path) -> None:
    array = pa.ExtensionArray.from_storage(_Unknown(), pa.array([1, 2]))
    got = read(put(tmp_path, pa.table({"e": array})))
    assert got.schema.field("e").type == pa.int64()
    assert got.column(0).to_pylist() == [1, 2]


def test_q30_a_pickled_extension_type_is_not_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "unpickled"
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": f"cos\nmkdir\n(S'{trace}'\ntR.".encode(),
    }
    schema = pa.schema([pa.field("n", pa.int64(), metadata=metadata)])
    got = read(put(tmp_path, pa.table({"n": [1]}, schema)))
    assert got.schema.field("n").type == pa.int64()
    assert not trace.exists()
