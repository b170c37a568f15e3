"""Scores of networks: those of PyTorch, with the policies of the model, and with the same bits in every batch."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.errors import InputMissingError, ModelError, UsageError
from pipeline.models import ScoreRequest, load_model, restore, score_block
from pipeline.types.blocks import BlockFunction, HasArithmetic, HasTiles, ReadsFiles, Values
from pipeline.types.features import HasFeatures
from tests.models.network import stored
from tests.models.network.networks import (
    FUNCTIONS,
    by_torch,
    categorical,
    columns,
    dense,
    drawn,
    layers,
    numeric,
    written,
)
from tests.seeds import seeds

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored.json").read_text())["raw_prediction"]
LIMITS = {"float64": 1e-12, "float32": 1e-6}
RAW = ScoreRequest(raw_prediction=True)


def block_of(path: Path, request: ScoreRequest = RAW) -> Any:
    return score_block(load_model(path), request)


def arrays_of(rows: np.ndarray) -> list[pa.Array]:
    return [pa.array(np.ascontiguousarray(column)) for column in rows.T]


def column(block: Any, values: Values, name: str = "raw_prediction") -> np.ndarray:
    position = [field.name for field in block.fields()].index(name)
    return values.arrays[position].to_numpy(zero_copy_only=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_raw_predictions_are_those_that_torch_computed(function: str, dtype: str, tmp_path: Path) -> None:
    tensors = drawn(stored.WIDTHS, np.dtype(dtype).type)
    path = written(tmp_path, tensors, features=columns(7), layers=layers(3, function, FUNCTIONS[function]))
    block = block_of(path)
    values = block.block(arrays_of(stored.rows()))
    found = column(block, values)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, STORED[function][dtype], rtol=LIMITS[dtype], atol=LIMITS[dtype])
    probability = column(block, values, "probability")
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-found)), rtol=1e-14)


@pytest.mark.parametrize("seed", seeds(100, slow=30))
def test_a_hundred_drawn_networks_are_scored_as_torch_scores_them(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    generator = np.random.default_rng(seed)
    depth, outputs = int(generator.integers(1, 6)), int(generator.choice([1, 2, 5]))
    widths = [*generator.integers(1, 80, depth).tolist(), outputs]
    function = str(generator.choice([*FUNCTIONS]))
    rows = generator.normal(0, 2, (int(generator.choice([0, 1, 3, 1023, 1024, 1025, 3000])), widths[0]))
    classes = {"head": "softmax", "classes": [f"c{number}" for number in range(outputs)]} if outputs > 1 else {}
    for dtype in (np.float32, np.float64):
        tensors = drawn(widths, dtype, seed)
        described = layers(len(widths) - 1, function, FUNCTIONS[function])
        path = written(tmp_path, tensors, features=columns(widths[0]), layers=described, **classes)
        block = block_of(path)
        values = block.block(arrays_of(rows))
        names = [field.name for field in block.fields() if field.name.startswith("raw_prediction")]
        found = np.column_stack([column(block, values, name) for name in names])
        expected = by_torch(tensors, rows, function, FUNCTIONS[function])
        limit = LIMITS[str(np.dtype(dtype))]
        np.testing.assert_allclose(found, expected, rtol=limit, atol=limit * max(1, np.abs(expected).max(initial=0)))


def test_a_row_has_the_same_bits_in_every_batch_beside_any_rows(tmp_path: Path) -> None:
    for dtype in (np.float32, np.float64):
        path = written(tmp_path, drawn((9, 33, 17, 1), dtype), features=columns(9), layers=layers(3, "tanh"))
        block = block_of(path)
        generator = np.random.default_rng(5)
        rows = generator.normal(0, 3, (30_000, 9))
        whole = column(block, block.block(arrays_of(rows)))
        for start, stop in ((0, 1), (1, 2), (777, 1801), (1023, 4097), (29_999, 30_000), (11, 29_000)):
            part = column(block, block.block(arrays_of(rows[start:stop])))
            assert part.tobytes() == whole[start:stop].tobytes()
        order = generator.permutation(len(rows))
        rows[5], rows[6, 2], rows[7, 3] = np.nan, np.inf, -np.inf
        shuffled = column(block, block.block(arrays_of(rows[order])))
        kept = ~np.isin(order, (5, 6, 7))
        assert shuffled[kept].tobytes() == whole[order][kept].tobytes()


def test_blas_has_one_thread_while_a_network_scores_and_as_many_as_before_afterwards(tmp_path: Path) -> None:
    path = written(tmp_path, drawn((4, 300, 300, 1)), features=columns(4), layers=layers(3, "relu"))
    block = block_of(path)
    rows = np.random.default_rng(1).normal(size=(3_000, 4))
    alone = column(block, block.block(arrays_of(rows)))
    with threadpool_limits(2, user_api="blas"):
        before = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        two = column(block, block.block(arrays_of(rows)))
        after = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert alone.tobytes() == two.tobytes()
    assert before == after
    assert 2 in after


def test_features_have_the_policies_of_logistic_models(tmp_path: Path) -> None:
    features = [
        numeric("a", center=2.0, scale=4.0, missing={"impute": 10.0}),
        numeric("b", missing="null"),
        categorical("c", ["x", "y", "z"], missing={"level": "y"}, unseen="zero"),
    ]
    tensors = {"0.weight": np.array([[1.0, 100.0, 0.25, 0.5, 0.75]]), "0.bias": np.array([7.0])}
    block = block_of(written(tmp_path, tensors, features=features, layers=[dense("0")]))
    rows = [
        pa.array([2.0, None, float("nan"), 6.0, float("inf"), 2.0]),
        pa.array([0.0, 1.0, 0.0, None, 0.0, float("nan")]),
        pa.array(["x", "y", None, "x", "q", "z"]),
    ]
    values = block.block(rows)
    raw = values.arrays[1]
    assert raw.to_pylist() == [7.25, 109.5, 9.5, None, float("inf"), None]
    assert (values.null, values.nan) == (2, 0)
    assert values.events == {"missing a": 2, "infinite a": 1, "missing b": 2, "missing c": 1, "unseen c": 1}
    assert values.features is not None
    assert values.features["c"].spellings == {"q": 1}
    assert [field.nullable for field in block.fields()] == [True, True]


def test_rows_that_a_policy_refuses_or_sets_aside_are_rejected(tmp_path: Path) -> None:
    features = [
        numeric("a", missing="error"),
        categorical("c", ["x"], missing="quarantine", unseen="quarantine"),
    ]
    tensors = {"0.weight": np.ones((1, 2)), "0.bias": np.zeros(1)}
    block = block_of(written(tmp_path, tensors, features=features, layers=[dense("0")]))
    values = block.block([pa.array([1.0, None, 2.0, 3.0]), pa.array(["x", "x", None, "?"])])
    assert [(cell.record, cell.column, cell.by_policy) for cell in values.rejected] == [
        (1, "a", False),
        (2, "c", True),
        (3, "c", True),
    ]
    assert values.arrays[1].to_pylist()[0] == 2.0
    assert [field.nullable for field in block.fields()] == [False, False]


def test_inputs_are_standardised_in_float64_and_rounded_once(tmp_path: Path) -> None:
    tensors = {"0.weight": np.ones((1, 1), np.float32), "0.bias": np.zeros(1, np.float32)}
    features = [numeric("a", center=1e9, scale=3.0)]
    block = block_of(written(tmp_path, tensors, features=features, layers=[dense("0")]))
    cells = np.array([10**9 + 1, 10**9 + 7])
    raw = column(block, block.block([pa.array(cells)]))
    assert raw.tolist() == [float(np.float32(1 / 3)), float(np.float32(7 / 3))]


def test_a_sum_that_is_no_number_is_nan_and_has_no_decision(tmp_path: Path) -> None:
    tensors = {"0.weight": np.array([[1.0, -1.0]]), "0.bias": np.zeros(1)}
    features = [numeric("a", missing="error"), numeric("b", missing="error")]
    output = {"columns": ["probability", "decision"], "threshold": 0.5}
    block = block_of(written(tmp_path, tensors, features=features, layers=[dense("0")], output=output), ScoreRequest())
    values = block.block([pa.array([np.inf, np.inf, 1.0]), pa.array([np.inf, 0.0, 0.0])])
    assert np.isnan(values.arrays[0].to_pylist()[0])
    assert values.arrays[0].to_pylist()[1] == 1.0
    assert values.arrays[1].to_pylist() == [None, True, True]
    assert values.nan == 1


def test_classes_have_the_softmax_of_their_sums_and_the_largest_is_the_decision(tmp_path: Path) -> None:
    tensors = drawn((4, 8, 3), np.float64, 3)
    output = {"columns": ["probability", "raw_prediction", "decision"]}
    path = written(
        tmp_path,
        tensors,
        features=columns(4),
        layers=layers(2, "gelu"),
        head="softmax",
        classes=["low", "mid", "high"],
        target={"column": "level"},
        output=output,
    )
    block = block_of(path, ScoreRequest())
    rows = np.random.default_rng(2).normal(size=(50, 4))
    values = block.block(arrays_of(rows))
    names = [field.name for field in block.fields()]
    assert names[:2] == ["probability_low", "probability_mid"]
    raw = np.column_stack([column(block, values, f"raw_prediction_{name}") for name in ("low", "mid", "high")])
    shares = np.exp(raw - raw.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    found = np.column_stack([column(block, values, f"probability_{name}") for name in ("low", "mid", "high")])
    np.testing.assert_allclose(found, shares, rtol=1e-13)
    expected = [("low", "mid", "high")[place] for place in raw.argmax(1)]
    assert column(block, values, "decision").tolist() == expected
    with pytest.raises(UsageError, match="--threshold is for models with two classes"):
        block_of(path, ScoreRequest(threshold=0.5))


def test_the_output_section_is_that_of_logistic_models(tmp_path: Path) -> None:
    output = {
        "columns": ["probability", "points", "band"],
        "calibration": {"method": "platt", "slope": 2.0, "intercept": 0.5},
        "points": {"pdo": 20, "base_points": 600, "base_odds": 50, "rounding": "points"},
        "bands": {"on": "probability", "thresholds": [0.5], "names": ["low", "high"]},
    }
    tensors = {"0.weight": np.ones((1, 1)), "0.bias": np.zeros(1)}
    block = block_of(
        written(tmp_path, tensors, features=columns(1), layers=[dense("0")], output=output), ScoreRequest()
    )
    values = block.block([pa.array([0.0, 1.0, -1.0, None])])
    probability = 1 / (1 + np.exp(-(2.0 * np.array([0.0, 1.0, -1.0]) + 0.5)))
    np.testing.assert_allclose(values.arrays[0].to_pylist()[:3], probability, rtol=1e-14)
    factor = 20 / np.log(2)
    points = np.rint(600 - factor * np.log(50) - factor * np.array([0.0, 1.0, -1.0]))
    assert values.arrays[1].to_pylist() == [*points.tolist(), None]
    assert values.arrays[2].to_pylist() == ["high", "high", "low", None]


def test_a_block_is_made_again_from_its_description_and_the_place_of_the_weights(tmp_path: Path) -> None:
    path = written(tmp_path / "one", drawn((3, 5, 1)), features=columns(3), layers=layers(2, "relu"))
    model = load_model(path)
    block = score_block(model, ScoreRequest(raw_prediction=True, float32=True, precision="accurate"))
    for protocol in (BlockFunction, HasArithmetic, HasFeatures, HasTiles, ReadsFiles):
        assert isinstance(block, protocol)
    description = json.loads(json.dumps(block.describe()))
    assert "one" not in json.dumps(description)
    assert isinstance(block, ReadsFiles)
    assert restore(description, block.beside()) == block
    assert pickle.loads(pickle.dumps(model)) == model
    again = pickle.loads(pickle.dumps(block))
    assert again == block
    assert len(pickle.dumps(block)) < 4_000
    rows = arrays_of(np.random.default_rng(0).normal(size=(10, 3)))
    assert again.block(rows).arrays == block.block(rows).arrays
    with pytest.raises(InputMissingError, match="nothing says where the weights"):
        restore(description)


def test_a_model_is_the_same_wherever_its_files_are(tmp_path: Path) -> None:
    content: dict[str, Any] = {"features": columns(3), "layers": layers(2, "relu")}
    first = load_model(written(tmp_path / "one", drawn((3, 5, 1)), **content))
    second = load_model(written(tmp_path / "two", drawn((3, 5, 1)), **content))
    other = load_model(written(tmp_path / "three", drawn((3, 5, 1), seed=1), **content))
    assert first.digest() == second.digest() != other.digest()
    blocks = [score_block(model, RAW) for model in (first, second)]
    assert blocks[0].describe() == blocks[1].describe()


def test_weights_are_read_once_and_changed_ones_are_noticed_by_who_reads_them_later(tmp_path: Path) -> None:
    path = written(tmp_path, drawn((3, 5, 1)), features=columns(3), layers=layers(2, "relu"))
    block = block_of(path)
    (tmp_path / "model.safetensors").unlink()
    rows = arrays_of(np.zeros((2, 3)))
    assert block.block(rows).nan == 0
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert block_of_digest_is_refused(path)


def block_of_digest_is_refused(path: Path) -> bool:
    from pipeline.models.network import compute, weights

    weights._read.cache_clear()
    compute._network.cache_clear()
    with pytest.raises(ModelError, match="these are not the weights of the model: SHA-256 2d71"):
        load_model(path)
    return True


def test_what_is_not_for_networks_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, drawn((3, 5, 1)), features=columns(3), layers=layers(2, "relu"))
    with pytest.raises(UsageError, match="--precision reproducible is not for networks"):
        block_of(path, ScoreRequest(precision="reproducible"))
    with pytest.raises(UsageError, match="--reasons is not for networks"):
        block_of(path, ScoreRequest(reasons=2))
    with pytest.raises(UsageError, match="the threshold must be between 0 and 1, got 2"):
        block_of(path, ScoreRequest(threshold=2))


def test_the_tag_of_the_arithmetic_names_blas_and_the_type_of_the_sums(tmp_path: Path) -> None:
    from pipeline.kernels import arithmetic_tag

    tags = []
    for dtype in (np.float32, np.float64):
        path = written(tmp_path, drawn((20, 64, 32, 1), dtype), features=columns(20), layers=layers(3, "relu"))
        block = block_of(path)
        tags.append(block.arithmetic_tag())
        assert tags[-1].startswith(f"{arithmetic_tag('fast')}-openblas-")
    assert tags[0] != tags[1]
    assert "-float64-" in tags[1]


def test_memory_counts_the_weights_and_the_tiles(tmp_path: Path) -> None:
    path = written(tmp_path, drawn((3, 2_000, 1)), features=columns(3), layers=layers(2, "relu"))
    block = block_of(path)
    size = (tmp_path / "model.safetensors").stat().st_size
    assert block.table_bytes == 4 * size
    assert block.call_bytes >= 1_024 * 2_000 * 8 * 2
    assert block.scratch_row_bytes >= 8
