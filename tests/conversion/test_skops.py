"""skops files are read with our own list of types, and become models by way of scikit-learn."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline as logitstream
from pipeline.conversion import skops as reading
from pipeline.conversion.importing import IMPORTERS
from pipeline.errors import ConfigurationError, ModelError
from tests.conversion import stored_skops

STORED = {name: base64.b64decode(text) for name, text in json.loads(stored_skops.STORED.read_text()).items()}


def schema_of(data: bytes) -> Any:
    return reading._schema(data, "model.skops")


@pytest.mark.parametrize("case", STORED)
def test_a_file_of_skops_has_only_types_of_the_list(case: str) -> None:
    names = reading._checked(schema_of(STORED[case]), "model.skops")
    assert "sklearn.linear_model._logistic.LogisticRegression" in names
    assert IMPORTERS["skops"].recognises(STORED[case][:4096], "model")


@pytest.mark.parametrize("case", STORED)
@pytest.mark.parametrize("place", ["LogisticRegression", "NdArrayNode", "sklearn"])
def test_one_other_name_in_a_real_file_is_refused(case: str, place: str) -> None:
    text = json.dumps(schema_of(STORED[case]))
    changed = json.loads(text.replace(place, f"Other{place}"))
    with pytest.raises(ModelError, match="has types that are not read"):
        reading._checked(changed, "model.skops")


def test_names_of_the_list_are_no_modules_of_the_system() -> None:
    assert reading.ALLOWED.keys() == {"sklearn", "builtins", "collections", "numpy", "scipy"}
    forbidden = {"eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "breakpoint", "input", "load"}
    assert forbidden.isdisjoint(frozenset().union(*reading.ALLOWED.values()))


def test_a_zip_that_unpacks_to_more_than_a_file_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", b" " * (1 << 20))
        file.writestr("140546700536464.npy", b"\0" * (1 << 20))
    assert len(buffer.getvalue()) < 10_000
    for limit in ("_SIZE_LIMIT", "_SCHEMA_LIMIT"):
        with monkeypatch.context() as patched:
            patched.setattr(reading, limit, 1 << 19)
            with pytest.raises(ModelError, match="unpacked, which is too much"):
                schema_of(buffer.getvalue())


def test_without_skops_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    (tmp_path / "model.skops").write_bytes(STORED["columns by place"])
    with pytest.raises(ConfigurationError, match="skops is not installed") as caught:
        logitstream.import_model(tmp_path / "model.skops")
    assert caught.value.remedy == "pip install 'logitstream[skops]'"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("case", STORED)
def test_scores_are_those_of_the_estimator(case: str, ending: str, tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    estimator = stored_skops.estimators()[case]
    skops.dump(estimator, tmp_path / "model")
    frame = stored_skops.rows()
    if case == "columns by place":
        frame = frame[["age", "hour"]].rename(columns={"age": "x0", "hour": "x1"}).astype(float)
    else:
        frame.loc[5, "carrier"] = "new"
        frame.loc[6, "carrier"] = None
    data = tmp_path / f"rows.{ending}"
    frame.to_csv(data, index=False) if ending == "csv" else frame.to_parquet(data)
    model = logitstream.import_model(tmp_path / "model", check=data)
    facts = (model.training or {})["imported"]
    print(f"{case}, {ending}: {facts['rows']} rows, largest difference {facts['largest_difference']:.2g}")
    assert (facts["from"], facts["rows"]) == ("skops", 120)
    assert facts["largest_difference"] < 1e-14
    assert facts["tool"].startswith("scikit-learn ")
    assert any("x0 to x1" in note for note in facts.get("notes", ())) is (case == "columns by place")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_kind_of_estimator_that_converts_is_on_the_list(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    stored_skops.rows()[["age", "hour"]].fillna(50.0).astype(float).to_parquet(tmp_path / "rows.parquet")
    for name, estimator in stored_skops.every_type().items():
        skops.dump(estimator, tmp_path / "model")
        model = logitstream.import_model(tmp_path / "model", check=tmp_path / "rows.parquet")
        facts = (model.training or {})["imported"]
        print(f"{name}: {facts['rows']} rows, largest difference {facts['largest_difference']:.2g}")
        assert facts["largest_difference"] < 1e-12


@pytest.mark.slow
def test_a_file_with_an_estimator_that_cannot_be_converted_names_it(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    from sklearn.preprocessing import StandardScaler

    skops.dump(StandardScaler().fit(np.eye(3)), tmp_path / "model.skops")
    with pytest.raises(ModelError, match=r"model\.skops: the estimator is a StandardScaler"):
        logitstream.import_model(tmp_path / "model.skops")
    skops.dump({"no": "estimator"}, tmp_path / "model.skops")
    with pytest.raises(ModelError, match="holds a dict, not an estimator"):
        logitstream.import_model(tmp_path / "model.skops")


@pytest.mark.slow
def test_a_pickle_inside_the_arrays_is_not_loaded(tmp_path: Path) -> None:
    pytest.importorskip("skops.io")
    buffer, trap = io.BytesIO(), io.BytesIO()
    np.save(trap, np.array([print], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(STORED["columns by place"])) as before, zipfile.ZipFile(buffer, "w") as after:
        for member in before.infolist():
            is_array = member.filename.endswith(".npy")
            after.writestr(member.filename, trap.getvalue() if is_array else before.read(member))
    (tmp_path / "model.skops").write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="cannot be read"):
        logitstream.import_model(tmp_path / "model.skops")
