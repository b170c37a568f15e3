"""Whether a process finds at the place of an input what was planned."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigurationError
from pipeline.sources import check_reached, source_for
from pipeline.types.inputs import CsvOptions, InputFile


def planned(path: Path, format_: str):
    file = InputFile(path.name, str(path), 0, format_, ())
    return file, source_for(format_, CsvOptions()).facts(file).identity


@pytest.fixture(params=["parquet", "csv"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"rows.{request.param}"
    if request.param == "csv":
        path.write_text("x\n1\n2\n")
    else:
        pq.write_table(pa.table({"x": [1.0, 2.0]}), path)
    return path


def test_a_planned_file_is_reached(path: Path) -> None:
    check_reached(*planned(path, path.suffix[1:]))


def test_another_file_of_the_same_name_is_not_the_planned_one(path: Path) -> None:
    file, identity = planned(path, path.suffix[1:])
    os.utime(path, (1, 1))
    with pytest.raises(ConfigurationError, match="is not the file that was planned"):
        check_reached(file, identity)


def test_a_file_that_is_not_there_is_told(path: Path) -> None:
    file, identity = planned(path, path.suffix[1:])
    path.unlink()
    with pytest.raises(ConfigurationError, match="it is gone") as caught:
        check_reached(file, identity)
    assert "under the same paths" in caught.value.remedy
