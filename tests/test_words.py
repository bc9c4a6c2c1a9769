"""Sentences: what house style asks of them, on answers made by hand."""

from __future__ import annotations

import dataclasses

import pytest
from synthetic import as_table, make_sweep

from analysis.estimator.crossover.crossings import Verdict
from analysis.estimator.crossover.find_crossover import Crossover, find_crossover
from analysis.estimator.crossover.wording import interval, measured, number, short_verdict, title, verdict_sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (210_345, "210,000"),
        (4.234, "4.23"),
        (1234.5, "1,230"),
        (0.04567, "0.0457"),
        (3.21e15, "3.21e+15"),
        (0, "0"),
        (999.9, "1,000"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_measured_sizes_are_not_rounded() -> None:
    assert measured(4096) == "4,096"
    assert measured(12_345_678, "train_size") == "12,345,678 images"


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1000.0, 2500.0), "90% interval 1,000\N{EN DASH}2,500"),
        ((120_000.0, None), "90% interval from 120,000, no upper end"),
        ((None, 500.0), "90% interval up to 500, no lower end"),
        ((None, None), "90% interval open on both sides"),
        (None, "no 90% interval"),
    ],
)
def test_intervals_say_which_side_is_open(bounds: tuple | None, text: str) -> None:
    assert interval(bounds, 0.9) == text


def test_titles() -> None:
    key = {"data": "strokes", "locality": 0, "image_size": 16}
    assert title(key) == "strokes, locality 0, 16\N{MULTIPLICATION SIGN}16 pixels"
    assert title(dict.fromkeys(key)) == ""


@pytest.fixture(scope="module")
def answer() -> Crossover:
    return find_crossover(as_table(make_sweep()))


def with_verdict(answer: Crossover, name: str, **values) -> Crossover:
    base = Verdict(name, None, None, None, 0.04, (128.0, 4096.0), None, ())
    return dataclasses.replace(answer, verdict=dataclasses.replace(base, **values))


def extrapolated(answer: Crossover) -> Crossover:
    values = {"direction": "vit_overtakes", "crossover_size": 17_203.2, "interval": (9_830.0, None)}
    return with_verdict(answer, "extrapolated", extrapolation_factor=4.2, p_crossing=0.7, **values)


def test_verdicts_in_words(answer: Crossover) -> None:
    start = "strokes, locality 0, 16\N{MULTIPLICATION SIGN}16 pixels: "
    assert verdict_sentence(extrapolated(answer)).startswith(
        f"{start}the ViT overtakes the CNN near 17,200 images (90% interval from 9,830, no upper end),"
        " a 4.20\N{MULTIPLICATION SIGN} extrapolation. At 4,096 images the fitted errors are "
    )
    assert verdict_sentence(with_verdict(answer, "cnn_ahead")).startswith(
        f"{start}the CNN is ahead of the ViT from 128 to 40,960 images (measured up to 4,096,"
        " a 10\N{MULTIPLICATION SIGN} extrapolation); P(crossing) = 0.04."
    )
    assert "a crossing up to 40,960 images has probability 0.04" in verdict_sentence(
        with_verdict(answer, "not_identifiable")
    )
    assert "(Audit off" in verdict_sentence(dataclasses.replace(answer, audited=False))


def test_a_crossover_size_never_stands_alone(answer: Crossover) -> None:
    for crossover in (answer, extrapolated(answer)):
        assert "90% interval" in verdict_sentence(crossover)
        assert "90% interval" in short_verdict(crossover.verdict, 0.9)


def test_a_verdict_held_back_says_why(answer: Crossover) -> None:
    table = as_table(make_sweep())
    held = find_crossover(table[(table["family"] == "vit") | (table["lr"] <= 1e-2)])
    text = verdict_sentence(held)
    assert "not identifiable: held back by the audit (best learning rate at the edge of its grid: resnet8" in text
