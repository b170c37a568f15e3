from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from pipeline.disk import OpenFile
from pipeline.errors import (
    DataError,
    InputChangedError,
    InputMissingError,
    LogitstreamError,
    MemoryBudgetError,
    PermissionDeniedError,
    TransientError,
)
from pipeline.sources.parquet.footer import FooterCache, read_footer, translated
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import Identity, InputFile, Need
from tests.contracts.source import open_descriptors, whole

SOURCE = ParquetSource()
NEEDS = [Need("n", "numeric"), Need("t", "kept")]


def input_file(path: Path) -> InputFile:
    return InputFile(path.name, str(path), 0, "parquet")


def small(path: Path, **options: object) -> InputFile:
    pq.write_table(pa.table({"n": range(100), "t": [f"text {n}" for n in range(100)]}), path, **options)
    return input_file(path)


def rows_of(file: InputFile) -> list[dict[str, object]]:
    facts = SOURCE.facts(file)
    with SOURCE.read(file, facts.identity, whole(facts), NEEDS, 7) as reader:
        return [row for batch in reader for row in batch.to_pylist()]


def refused(file: InputFile, match: str, kind: type[LogitstreamError] = DataError) -> None:
    with pytest.raises(kind, match=match) as caught:
        rows_of(file)
    assert type(caught.value) is kind
    assert open_descriptors(file.location) == 0


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"^x\.parquet is empty: 0 bytes are not a Parquet file"),
        (b"PAR1", r"^x\.parquet is cut short: its 4 bytes do not end in a Parquet footer"),
        (b"PAR1PAR1", r"^x\.parquet is cut short: its 8 bytes"),
        (b"PAR1\0\0\0\0PAR1", r"^x\.parquet is damaged or not readable as Parquet"),
        (b"PAR1\xff\xff\0\0PAR1", r"^x\.parquet is damaged: a footer of 65,543 bytes in a file of 12 bytes"),
        (b"id,n\n1,2\n", r"^x\.parquet is not a Parquet file: it begins with b'id,n'"),
        (b"PAR1" + b"\x15" * 40 + b"\x28\0\0\0PAR1", r"^x\.parquet is damaged or not readable as Parquet"),
        (b"PARE" + b"\0" * 40 + b"\x28\0\0\0PARE", r"^x\.parquet is encrypted, which is not supported"),
    ],
)
def test_what_is_no_parquet_file(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    refused(input_file(tmp_path / "x.parquet"), match)


def test_no_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({}), tmp_path / "x.parquet")
    refused(input_file(tmp_path / "x.parquet"), r"^x\.parquet has no columns")


def test_cut_short_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    small(path)
    content = path.read_bytes()
    for size in range(0, len(content), 7):
        path.write_bytes(content[:size])
        refused(input_file(path), r"^x\.parquet is ")


def test_flipped_bits_are_noticed_by_the_page_checksums(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    expected = rows_of(small(path, write_page_checksum=True, compression="none"))
    content = path.read_bytes()
    refusals = 0
    for position in range(4, len(content), 11):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            assert rows_of(input_file(path)) == expected
        except (DataError, LookupError, MemoryBudgetError):
            refusals += 1
    assert refusals > 0.6 * len(range(4, len(content), 11))
    assert open_descriptors(str(path)) == 0


def test_a_flipped_bit_in_a_value(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    small(path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index(b"text 42") + 6] ^= 1
    path.write_bytes(content)
    refused(input_file(path), r"^x\.parquet is damaged or not readable as Parquet: .*checksum")


@pytest.mark.parametrize(
    ("places", "match"),
    [
        ([0], "is damaged: 101 rows, but its row groups have 100"),
        ([1], "is damaged: row group 0 has 100 rows, but 101 values of column 'n'"),
        ([0, 1, 2], "is damaged"),
        ([2], "is damaged: 100 rows, but its row groups have 101"),
    ],
)
def test_a_footer_that_lies_about_rows(tmp_path: Path, places: list[int], match: str) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": pa.array(range(100), pa.int32())}), path, use_dictionary=False, compression="none")
    content = path.read_bytes()
    hundred = b"\x16\xc8\x01"
    assert content.count(hundred) == 3
    pieces = content.split(hundred)
    words = [b"\x16\xca\x01" if place in places else hundred for place in range(3)]
    path.write_bytes(pieces[0] + b"".join(word + piece for word, piece in zip(words, pieces[1:], strict=True)))
    file = input_file(path)
    with pytest.raises(DataError, match=match):
        count_rows(file)
    assert open_descriptors(file.location) == 0


def test_a_footer_that_lies_about_rows_and_names_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": pa.array(range(100), pa.int32())}), path, use_dictionary=False, compression="none")
    hundred = b"\x16\xc8\x01"
    head, column, group, rest = path.read_bytes().split(hundred)
    assert column.count(b"\x18\x01n") == 1
    column = column.replace(b"\x18\x01n", b"\x18\x01\xf3")
    path.write_bytes(head + hundred + column + b"\x16\xca\x01" + group + hundred + rest)
    with pytest.raises(DataError, match="but 101 values of column 'n'"):
        count_rows(input_file(path))


def count_rows(file: InputFile) -> int:
    facts = SOURCE.facts(file)
    with SOURCE.read(file, facts.identity, whole(facts), [Need("n", "kept")], 1000) as reader:
        return sum(batch.num_rows for batch in reader)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    small(path, use_dictionary=False, compression="none")
    path.write_bytes(path.read_bytes().replace(b"text 42", b"text \xff\xfe"))
    refused(input_file(path), r"^x\.parquet is damaged or not readable as Parquet: .*UTF8")


def test_a_schema_too_deep(tmp_path: Path) -> None:
    deep = pa.int64()
    for _ in range(70):
        deep = pa.list_(deep)
    pq.write_table(pa.table({"n": pa.nulls(1, deep)}), tmp_path / "x.parquet")
    refused(input_file(tmp_path / "x.parquet"), r"^x\.parquet is damaged or not readable as Parquet: .*depth")


class _Keys(pe.KmsClient):
    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_encrypted(tmp_path: Path, plaintext_footer: bool) -> None:
    path = tmp_path / "x.parquet"
    factory = pe.CryptoFactory(lambda _: _Keys())
    configuration = pe.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["n", "t"]}, plaintext_footer=plaintext_footer
    )
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    small(path, encryption_properties=properties)
    refused(input_file(path), r"^x\.parquet is encrypted, which is not supported")


def test_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    os.mkfifo(tmp_path / "fifo.parquet")
    refused(input_file(tmp_path / "folder.parquet"), r"^folder\.parquet is a folder; only files")
    refused(input_file(tmp_path / "fifo.parquet"), r"^fifo\.parquet is a FIFO; only files")
    with pytest.raises(DataError, match=r"^null\.parquet is a character device; only files"):
        SOURCE.facts(InputFile("null.parquet", "/dev/null", 0, "parquet"))
    refused(input_file(tmp_path / "none.parquet"), r"^no such input: none\.parquet", InputMissingError)


def test_names_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.parquet"
    path.write_bytes(b"")
    refused(input_file(path), r"^a\\nb\\x1b\[31m\.parquet is empty")


def test_gone_since_it_was_planned(tmp_path: Path) -> None:
    file = small(tmp_path / "x.parquet")
    facts = SOURCE.facts(file)
    (tmp_path / "x.parquet").unlink()
    with (
        pytest.raises(InputChangedError, match=r"^x\.parquet has changed since the run was planned: it is gone"),
        SOURCE.read(file, facts.identity, whole(facts), NEEDS, 7),
    ):
        pass


def test_another_footer_under_the_same_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    file = small(path)
    facts = SOURCE.facts(file)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-ARROW"))
    os.utime(path, ns=(facts.identity.mtime_ns, facts.identity.mtime_ns))
    with (
        pytest.raises(InputChangedError, match=r"^x\.parquet has changed since the run was planned"),
        SOURCE.read(file, facts.identity, whole(facts), NEEDS, 7),
    ):
        pass
    assert open_descriptors(str(path)) == 0


def test_a_file_replaced_under_its_name_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    file = small(path)
    expected = rows_of(file)
    facts = SOURCE.facts(file)
    with SOURCE.read(file, facts.identity, whole(facts), NEEDS, 7) as reader:
        small(tmp_path / "new.parquet", compression="none")
        (tmp_path / "new.parquet").replace(path)
        assert [row for batch in reader for row in batch.to_pylist()] == expected


def test_a_change_is_noticed_when_reading_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    file = small(path)
    facts = SOURCE.facts(file)

    def read_a_batch() -> None:
        with SOURCE.read(file, facts.identity, whole(facts), NEEDS, 7) as reader:
            next(iter(reader))
            path.write_bytes(b"PAR1")

    with pytest.raises(InputChangedError, match=r"^x\.parquet changed while it was read"):
        read_a_batch()
    assert open_descriptors(str(path)) == 0


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (pa.ArrowInvalid("bad\npage"), DataError, r"^x is damaged or not readable as Parquet: bad\\npage"),
        (pa.ArrowNotImplementedError("codec"), DataError, "codec"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), DataError, "invalid"),
        (pa.ArrowKeyError("key"), DataError, "key"),
        (OSError("Unexpected end of stream"), DataError, "Unexpected end"),
        (OSError(5, "Input/output error"), TransientError, "x cannot be read: Input/output error"),
        (OSError(13, "Permission denied"), PermissionDeniedError, "x cannot be read: Permission denied"),
        (pa.ArrowMemoryError("malloc of size 9"), MemoryBudgetError, "x needs more memory than there is: malloc"),
    ],
)
def test_what_arrow_raises_becomes_ours(error: Exception, kind: type[LogitstreamError], match: str) -> None:
    with pytest.raises(kind, match=match) as caught, translated("x"):
        raise error
    assert type(caught.value) is kind


def test_the_cache_of_footers_is_bounded(tmp_path: Path) -> None:
    file = small(tmp_path / "x.parquet")
    with OpenFile.open(file.location, file.path) as opened:
        footer = read_footer(file.location, SOURCE.facts(file).identity, opened)
    cache = FooterCache(entries=3)
    states = [Identity(1, number, "") for number in range(5)]

    def fill() -> None:
        for state in states:
            cache.put("x", state, footer)

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fill()
    assert [cache.get("x", state) is footer for state in states] == [False, False, True, True, True]
    tight = FooterCache(size=footer.metadata.serialized_size)
    for state in states:
        tight.put("x", state, footer)
    assert [tight.get("x", state) is footer for state in states] == [False, False, False, False, True]


_WRITE = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows = 9_000_000
column = pa.array(np.arange(rows, dtype=np.float64))
text = pa.array(["text"] * 1000).take(pa.array(np.arange(rows) % 1000))
table = pa.table({"a": column, "b": column, "c": column, "t": text})
pq.write_table(table, sys.argv[1], row_group_size=rows, use_dictionary=["t"], compression="none")
"""

_READ = """
import sys
from pathlib import Path
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from pipeline.types.rows import Slice
file = InputFile("x", sys.argv[1], 0, "parquet")
source = ParquetSource()
facts = source.facts(file)
assert len(facts.group_rows) == 1
needs = [Need("a", "numeric"), Need("b", "kept"), Need("c", "numeric"), Need("t", "categorical"), Need("t", "kept")]
with source.read(file, facts.identity, Slice(0, 0, 1, facts.rows), needs, 65536) as reader:
    rows = sum(batch.num_rows for batch in reader)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(rows, int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_memory_stays_flat_on_one_huge_row_group(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    run(_WRITE, path)
    assert Path(path).stat().st_size > 200 << 20
    rows, peak = map(int, run(_READ, path).split())
    assert rows == 9_000_000
    assert peak < 200, f"{peak} MiB"


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_batches_never_exceed_what_is_asked_for_across_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": np.arange(1000)}), path, row_group_size=30)
    facts = SOURCE.facts(input_file(path))
    with SOURCE.read(facts.file, facts.identity, whole(facts), [Need("n", "kept")], 64) as reader:
        assert max(batch.num_rows for batch in reader) <= 64
