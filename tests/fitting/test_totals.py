"""What the classes weigh, and what only two classes can have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import UsageError
from pipeline.fitting.asking.job import DataWishes, FitJob, ModelWishes
from pipeline.fitting.first_pass.learnt import FitAccounts, Learnt
from pipeline.fitting.outcome.totals import (
    check_classes,
    class_names,
    class_totals,
    intercept_shift,
    prior_notes,
)
from pipeline.units import shortest

TWO = Learnt(FitAccounts(), 40.0, (False, True), (1.0, 3.0), class_totals=(30.0, 10.0))
THREE = Learnt(FitAccounts(), 40.0, ("a", "b", "c"), (1.0,) * 3, class_totals=(30.0, 5.0, 5.0))


@pytest.mark.parametrize(("option", "wishes"), [("--offset", {"offset": "o"}), ("--prior", {"prior": 0.2})])
def test_an_offset_and_a_prior_need_two_classes(option, wishes) -> None:
    job = FitJob(DataWishes(()), ModelWishes("y", **wishes))
    check_classes(job, TWO)
    with pytest.raises(UsageError, match=f"{option} is for two classes, but the target y has 3"):
        check_classes(job, THREE)
    check_classes(FitJob(DataWishes(()), ModelWishes("y")), THREE)


def test_class_weights_count_in_the_weight_of_a_class() -> None:
    assert class_totals(TWO) == (30.0, 30.0)
    assert class_totals(replace(TWO, class_weights=(1.0, 1.0))) == (30.0, 10.0)


def test_without_a_prior_nothing_is_added_to_the_intercept() -> None:
    assert intercept_shift(FitJob(DataWishes(()), ModelWishes("y")), TWO) == 0.0
    assert intercept_shift(FitJob(DataWishes(()), ModelWishes("y", prior=0.5)), TWO) == 0.0


def test_classes_are_called_as_people_write_them() -> None:
    assert class_names((False, True)) == ("false", "true")
    assert class_names((0, 10)) == ("0", "10")


def test_a_note_tells_what_a_prior_corrected_and_that_the_log_loss_is_that_before() -> None:
    job = FitJob(DataWishes(()), ModelWishes("y", prior=0.2))
    (note,) = prior_notes(job, TWO)
    assert note.startswith(f"--prior 0.2: {shortest(intercept_shift(job, TWO))} was added to the intercept")
    assert "log losses and deviances are those before it" in note
    assert not list(prior_notes(FitJob(DataWishes(()), ModelWishes("y")), TWO))
