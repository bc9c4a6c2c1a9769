"""Sentences: what house style asks of them, on answers made by hand."""

from __future__ import annotations

import dataclasses

import pytest
from synthetic import as_table, make_sweep

from analysis.estimator.crossover.crossings import Crossing
from analysis.estimator.crossover.find_crossover import Crossover, find_crossover
from analysis.estimator.crossover.verdict import Known, Lean, Verdict
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
    return with_verdict(answer, "extrapolated", extrapolation_factor=4.2, p_crossing=0.85, probability=0.83, **values)


def test_verdicts_in_words(answer: Crossover) -> None:
    start = "strokes, locality 0, 16\N{MULTIPLICATION SIGN}16 pixels: "
    assert verdict_sentence(extrapolated(answer)).startswith(
        f"{start}the ViT overtakes the CNN near 17,200 images (90% interval from 9,830, no upper end),"
        " a 4.20\N{MULTIPLICATION SIGN} extrapolation; P = 0.83. At 4,096 images the fitted errors are "
    )
    assert verdict_sentence(with_verdict(answer, "cnn_ahead", probability=0.94)).startswith(
        f"{start}the CNN is ahead of the ViT from 128 to 40,960 images (measured up to 4,096,"
        " a 10\N{MULTIPLICATION SIGN} extrapolation), P = 0.94; P(crossing) = 0.04."
    )
    assert "(Audit off" in verdict_sentence(dataclasses.replace(answer, audited=False))


def test_what_is_known_comes_first_where_nothing_can_be_claimed(answer: Crossover) -> None:
    start = "strokes, locality 0, 16\N{MULTIPLICATION SIGN}16 pixels: "
    nothing = verdict_sentence(with_verdict(answer, "not_identifiable"))
    assert nothing.startswith(f"{start}neither family is clearly ahead at any size from 128 to 4,096 images (P(ViT bet")
    assert "Not identifiable: whether they cross up to 40,960 images, P(crossing) = 0.04;" in nothing
    p = float(answer.p_vit_better(4096))
    known = verdict_sentence(with_verdict(answer, "not_identifiable", known=Known("cnn", 128.0, 512.0, 0.97)))
    assert known.startswith(
        f"{start}the CNN is ahead of the ViT from 128 to 512 images (P = 0.97); at 4,096 the ViT is"
    )
    assert f"is ahead with P = {p:.2f}. Not identifiable:" in known
    assert "more runs near 4,096 images or beyond would settle who leads there" in known
    lean = Lean("vit_overtakes", 9000.0, (6000.0, None), 0.71)
    values = {"known": Known("cnn", 128.0, 4096.0, 0.99), "lean": lean, "p_crossing": 0.75}
    leaning = verdict_sentence(with_verdict(answer, "not_identifiable", **values))
    assert "the CNN is ahead of the ViT from 128 to 4,096 images (P = 0.99). Not identifiable: the ViT may" in leaning
    assert "near 9,000 images (90% interval from 6,000, no upper end), a 2.20" in leaning
    assert "P = 0.71; runs beyond 4,096 images would settle it." in leaning
    # A lead at the end and a likely crossing inside: what is not clear is who leads before it.
    values = {
        "known": Known("vit", 2048.0, 4096.0, 0.96),
        "crossings": (Crossing(900.0, "vit_overtakes", (None, 2000.0), 0.8),),
    }
    inside = verdict_sentence(with_verdict(answer, "not_identifiable", **values))
    assert "more seeds from 128 to 900 images, or smaller sizes, would settle it." in inside


def test_level_families_are_chosen_by_other_grounds(answer: Crossover) -> None:
    text = verdict_sentence(with_verdict(answer, "equivalent", probability=0.93))
    assert "the ViT and the CNN are level from 128 to 4,096 images: their errors are within 5% of each other" in text
    assert "P = 0.93; choose by other grounds (ViT (vit_small): 78,000 parameters, 1,000,000,000 FLOPs" in text
    assert "12,800 images/s; CNN (resnet8): " in text


def test_a_crossover_size_never_stands_alone(answer: Crossover) -> None:
    for crossover in (answer, extrapolated(answer)):
        assert "90% interval" in verdict_sentence(crossover)
        assert "; P = " in verdict_sentence(crossover)
        assert ", P = " in short_verdict(crossover.verdict, 0.9)
        assert "90% interval" in short_verdict(crossover.verdict, 0.9)


def test_a_verdict_held_back_says_why(answer: Crossover) -> None:
    table = as_table(make_sweep())
    held = find_crossover(table[(table["family"] == "vit") | (table["lr"] <= 1e-2)])
    text = verdict_sentence(held)
    assert "not identifiable: held back by the audit (best learning rate at the edge of its grid: resnet8" in text
