"""What tasks are called on the scheduler of a cluster."""

from __future__ import annotations

from dask.utils import key_split
from distributed.utils import key_split_group

from pipeline.execute.cluster.keys import KeyMaker
from pipeline.execute.labels import Label, label_of
from pipeline.types.work import Work
from tests.contracts.tasks import no_op


def test_a_key_is_never_made_twice_and_says_which_try_it_is() -> None:
    maker = KeyMaker()
    chunks = [0, 1, 70_000, 1, 1, 3, 70_000]
    keys = [maker.key(Label("score", chunk, "flights.parquet"), "run") for chunk in chunks]
    assert keys[0] == ("score", 0, "flights.parquet", "run", 0)
    assert [key[-1] for key in keys] == [0, 0, 0, 1, 2, 0, 1]
    assert len(set(keys)) == len(keys)


def test_all_keys_of_a_command_have_one_prefix_and_one_group() -> None:
    maker = KeyMaker()
    keys = [maker.key(Label("score", chunk, f"{chunk:032x}-x.parquet"), "run") for chunk in range(100)]
    assert {key_split(key) for key in keys} == {key_split_group(key) for key in keys} == {"score"}


def test_the_end_of_a_long_name_is_shown() -> None:
    assert KeyMaker().key(Label("score", 0, f"{'x' * 200}/july.csv"), "run")[2] == f"{'x' * 91}/july.csv"


def test_a_task_without_labels_is_called_by_its_item() -> None:
    assert label_of(no_op, Work(7)) == Label("logitstream", 7, "chunk 7")
