"""A file that is not text in the encoding that was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.sources import CsvSource
from pipeline.types.inputs import CsvOptions, InputFile


def test_utf_16_without_its_mark_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("a,b\n1,2\n")
    source = CsvSource(CsvOptions(encoding="utf-16"))
    with pytest.raises(DataError, match=r"plain\.csv is not text in utf-16") as caught:
        source.facts(InputFile("plain.csv", str(path), 0, "csv"))
    assert "--encoding" in caught.value.remedy
