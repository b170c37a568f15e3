"""Scores of networks over sequences: those of PyTorch, with the policies of the model, the same bits in every batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.models import ScoreRequest, load_model, score_block
from pipeline.types.blocks import Values
from tests.models.network import stored_steps
from tests.models.network.networks import drawn_steps, sequence, step_layers, written

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "stored_steps.json").read_text())["raw_prediction"]
LIMITS = {"float64": 1e-12, "float32": 1e-6}
RAW = ScoreRequest(raw_prediction=True)


def block_of(path: Path) -> Any:
    return score_block(load_model(path), RAW)


def raw_of(block: Any, arrays: Sequence[pa.Array]) -> np.ndarray:
    return raw_in(block.block(arrays))


def raw_in(values: Values) -> np.ndarray:
    return values.arrays[1].to_numpy(zero_copy_only=False)


def flat(rows: Sequence[np.ndarray]) -> pa.Array:
    """Return rows of shape (steps, inputs) as lists of steps times inputs numbers."""
    return pa.array([row.ravel().tolist() for row in rows], pa.list_(pa.float64()))


def nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return pa.array([row.tolist() for row in rows], pa.list_(pa.list_(pa.float64())))


def of_fixed(rows: Sequence[np.ndarray], width: int = 3) -> pa.Array:
    return pa.array([row.tolist() for row in rows], pa.list_(pa.list_(pa.float64(), width)))


def large(rows: Sequence[np.ndarray]) -> pa.Array:
    return flat(rows).cast(pa.large_list(pa.float64()))


def sliced(rows: Sequence[np.ndarray]) -> pa.Array:
    return flat([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def sliced_nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return nested([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def sliced_fixed(rows: Sequence[np.ndarray]) -> pa.Array:
    return of_fixed([*rows[:2], *rows, rows[0]]).slice(2, len(rows))


def large_nested(rows: Sequence[np.ndarray]) -> pa.Array:
    return nested(rows).cast(pa.large_list(pa.large_list(pa.float64())))


FORMS: dict[str, Callable[[Sequence[np.ndarray]], pa.Array]] = {
    form.__name__: form for form in (flat, nested, of_fixed, large, sliced, sliced_nested, sliced_fixed, large_nested)
}


def stored_model(folder: Path, kind: str, pooling: str, dtype: str = "float64", **feature: Any) -> Path:
    features = [sequence("s", width=3, missing="empty", **feature)]
    tensors = drawn_steps(kind, stored_steps.WIDTHS, np.dtype(dtype).type)
    return written(folder, tensors, features=features, layers=step_layers(kind, 2, pooling))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "pooling"), stored_steps.CASES)
def test_raw_predictions_of_sequences_are_those_that_torch_computed(
    kind: str, pooling: str, dtype: str, tmp_path: Path
) -> None:
    block = block_of(stored_model(tmp_path, kind, pooling, dtype))
    found = raw_of(block, [flat(stored_steps.rows())])
    expected = STORED[f"{kind} {pooling}"][dtype]
    np.testing.assert_allclose(found, expected, rtol=LIMITS[dtype], atol=LIMITS[dtype])


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_every_form_have_the_same_bits(form: str, tmp_path: Path) -> None:
    block = block_of(stored_model(tmp_path, "lstm", "mean"))
    rows = stored_steps.rows()
    assert raw_of(block, [FORMS[form](rows)]).tobytes() == raw_of(block, [flat(rows)]).tobytes()


def test_sequences_of_one_number_a_step_and_several_features_are_the_same_inputs(tmp_path: Path) -> None:
    tensors = drawn_steps("gru", (3, 4, 1))
    names = ["a", "b", "c"]
    one = block_of(
        written(tmp_path / "one", tensors, features=[sequence("s", width=3)], layers=step_layers("gru", 1, "last"))
    )
    three = block_of(
        written(tmp_path / "three", tensors, features=[*map(sequence, names)], layers=step_layers("gru", 1, "last"))
    )
    rows = [np.arange(6.0).reshape(2, 3) / 6, np.ones((1, 3))]
    columns = [pa.array([row[:, place].tolist() for row in rows]) for place in range(3)]
    assert raw_of(three, columns).tobytes() == raw_of(one, [flat(rows)]).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "pooling"), [("lstm", "last"), ("gru", "mean"), ("lstm", "max")])
def test_a_row_has_the_same_bits_in_every_batch_beside_rows_of_any_length(
    kind: str, pooling: str, dtype: str, tmp_path: Path
) -> None:
    block = block_of(stored_model(tmp_path, kind, pooling, dtype))
    generator = np.random.default_rng(5)
    rows = [generator.normal(size=(int(length), 3)) for length in generator.integers(0, 12, 3_000)]
    rows[17] = generator.normal(size=(200, 3))
    whole = raw_of(block, [flat(rows)])
    assert np.isfinite(whole).all()
    for start, stop in ((0, 1), (16, 18), (700, 1_900), (2_999, 3_000)):
        assert raw_of(block, [flat(rows[start:stop])]).tobytes() == whole[start:stop].tobytes()
    order = generator.permutation(len(rows))
    rows[5] = np.full((4, 3), np.inf)
    shuffled = raw_of(block, [flat([rows[place] for place in order])])
    kept = order != 5
    assert shuffled[kept].tobytes() == whole[order][kept].tobytes()
