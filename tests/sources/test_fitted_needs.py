"""Needs that stand otherwise in one file: absent, in another type, at a position, stated by the path too."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.scan import batches, field_of, gather_facts, whole
from pipeline.sources.column_types import packed
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile, Need

CSV = CsvOptions(types=(("t", "date32"),))
TABLE = pa.table({"x": ["a", "b"], "y": ["1", "2"]})
LARGE = packed(pa.large_string())
NESTED = pa.list_(pa.struct([("a", pa.int8())]))


@pytest.fixture(params=["csv", "parquet"])
def facts(request: pytest.FixtureRequest, tmp_path: Path) -> FileFacts:
    path = tmp_path / f"f.{request.param}"
    if request.param == "csv":
        path.write_text("x,y\na,1\nb,2\n")
    else:
        pq.write_table(TABLE, path)
    file = InputFile(path.name, str(path), 0, request.param, (("p", "7"), ("y", "1")))
    return gather_facts([file], CSV)[0]


@pytest.mark.parametrize(
    ("need", "type_", "values"),
    [
        (Need("z", "numeric", absent=True), pa.float64(), [None, None]),
        (Need("z", "numeric", "int8", absent=True), pa.int8(), [None, None]),
        (Need("z", "categorical", absent=True), pa.dictionary(pa.int32(), pa.string()), [None, None]),
        (Need("z", "kept", absent=True, unified=packed(NESTED)), NESTED, [None, None]),
        (Need("z", "kept", "date32", absent=True), pa.date32(), [None, None]),
        (Need("x", "kept", unified=LARGE), pa.large_string(), ["a", "b"]),
        (Need("p", "kept", unified=LARGE), pa.large_string(), ["7", "7"]),
        (Need("y", "kept", stated=True), pa.string(), ["1"]),
        (Need("y", "categorical", stated=True), pa.dictionary(pa.int32(), pa.string()), ["1"]),
    ],
    ids=str,
)
def test_a_need_is_read_as_it_stands_in_the_file(
    facts: FileFacts, need: Need, type_: pa.DataType, values: list[object]
) -> None:
    field = field_of(facts, need, CSV)
    assert (field.name, field.type, field.nullable) == (need.name, type_, True)
    needs = [need, Need("x", "kept"), replace(need, role="kept") if need.stated else need]
    found = list(batches(facts.file, facts.identity, whole(facts), needs, csv=CSV))
    table = pa.Table.from_batches([batch.data for batch in found if batch.data.num_rows])
    assert table.column(0).type == type_
    assert table.column(0).to_pylist() == values
    assert table.column(1).to_pylist() == ["a", "b"][: len(values)]
    bad = [(cell.record, cell.text, cell.values) for batch in found for cell in batch.bad]
    assert bad == [(1, "2", ("'1'",))] * need.stated


def test_a_column_of_a_csv_is_read_by_its_position(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("x,,x\n1,2,3\n4,5,6\n")
    (facts,) = gather_facts([InputFile("f.csv", str(tmp_path / "f.csv"), 0, "csv")], CSV)
    needs = [
        Need("x.1", "kept", position=2),
        Need("Unnamed: 1", "kept", "int8", position=1),
        Need("x", "kept", position=0),
    ]
    (found,) = batches(facts.file, facts.identity, whole(facts), needs, csv=CSV)
    assert found.data.to_pydict() == {"x.1": ["3", "6"], "Unnamed: 1": [2, 5], "x": ["1", "4"]}


def test_a_field_of_many_columns_is_found_without_the_facts_of_the_others(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(3_000)]
    pq.write_table(pa.table({name: [1] for name in names}), tmp_path / "f.parquet")
    source = ParquetSource()
    facts = source.facts(InputFile("f.parquet", str(tmp_path / "f.parquet"), 0, "parquet"))
    began = time.thread_time()
    assert [source.field(facts, Need(name, "kept")).name for name in names] == names
    # With the facts of all columns for each of them it takes 10 s.
    assert time.thread_time() - began < 3
