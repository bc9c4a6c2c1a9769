"""The question's names stand in one place, and new learning rates are rounded in one way; old ones stay as they are."""

import pytest

from analysis.advise.train_commands import Cells, command
from analysis.figures.across_questions import KNOBS
from analysis.pilot.run import next_rates
from scaling.records.question import IN_EVERY_KEY, QUESTION
from scaling.records.words import round_setting


def test_the_names_are_columns_of_every_report() -> None:
    assert QUESTION == ("data", "locality", "image_size", "num_classes")
    assert IN_EVERY_KEY == ("data", "locality", "image_size")
    assert set(KNOBS) == set(QUESTION)


@pytest.mark.parametrize(("rate", "rounded"), [(0.0015625, 0.00156), (0.1 / 3, 0.0333), (0.006, 0.006)])
def test_a_new_rate_has_three_digits(rate: float, rounded: float) -> None:
    assert round_setting(rate) == rounded


def test_a_pilots_grid_grows_by_rounded_rates() -> None:
    assert next_rates(0.00625, [0.00625, 0.025]) == [0.00156]


def test_a_repeated_run_keeps_its_rate_to_the_last_digit() -> None:
    row = {"overrides": ["model=vit_w64d2"]}
    words = command(row, Cells("vit_w64d2", (512,), (0,), (0.00123456789, 0.006)))
    assert words is not None
    assert "optim.lr=0.00123456789,0.006" in words
