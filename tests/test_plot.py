"""Figures show what was measured and what is claimed; files are reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import as_table, make_sweep, write_sweep

from analysis import plot
from analysis.crossover import Crossover, find_crossover
from analysis.figures import FIGURES, render


@pytest.fixture(scope="module")
def answer() -> Crossover:
    return find_crossover(as_table(make_sweep()))


def test_every_fitted_run_is_a_point(answer: Crossover) -> None:
    ax = plot.plot_curves(Figure().subplots(), answer)
    shown = {
        (x, y) for line in ax.lines if line.get_linestyle() == "None" for x, y in zip(*line.get_data(), strict=True)
    }
    fitted = answer.selection.fitted
    assert shown == set(zip(fitted["train_size"], fitted["test_error"], strict=True))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_the_crossing_is_marked_where_it_is(answer: Crossover) -> None:
    ax = plot.plot_curves(Figure().subplots(), answer)
    upright = [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert answer.verdict.crossover_size in upright
    assert 4096.0 in upright  # where measuring ends
    assert {t.get_text() for t in ax.texts} == {"measured", "extrapolated"}


def test_the_gap_passes_one_at_the_crossing(answer: Crossover) -> None:
    ax = plot.plot_gap(Figure().subplots(), answer)
    x, ratio = next(line for line in ax.lines if line.get_label() == "fitted ratio").get_data()
    place = np.exp(np.interp(0, -np.log(ratio), np.log(x)))
    assert place == pytest.approx(answer.verdict.crossover_size, rel=0.05)


def test_the_chosen_learning_rate_is_ringed(answer: Crossover) -> None:
    ax = plot.plot_learning_rates(Figure().subplots(), answer, "resnet8")
    rings = [line.get_xdata()[0] for line in ax.lines if str(line.get_markerfacecolor()) == "none"]
    assert sorted(rings) == sorted(c.lr for c in answer.selection.choices if c.model == "resnet8" and len(c.tried) > 1)
    assert plot.models_with_grids(answer) == ["resnet8", "vit_small"]


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_answer_gives_the_same_bytes(answer: Crossover, name: str) -> None:
    for kind in ("svg", "png"):
        first, second = (render(FIGURES[name](answer), kind, salt="a") for _ in range(2))
        assert first == second


def test_a_sweep_without_curves_can_be_drawn() -> None:
    table = as_table(make_sweep())
    thin = find_crossover(table[(table["train_size"] == 128) & (table["lr"] == 4e-3)])
    for draw in FIGURES.values():
        figure = draw(thin)
        assert figure is None or render(figure, "svg", salt="a").startswith(b"<?xml")


def test_names_are_shown_as_they_are() -> None:
    table = as_table(make_sweep())
    odd = find_crossover(table.assign(model=table["model"] + "$x_<b>$"))
    assert b"vit_small$x_&lt;b&gt;$ (ViT)" in render(FIGURES["curves"](odd), "svg", salt="a")


def test_the_command_draws_one_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sweep(make_sweep(), tmp_path / "runs")
    out = tmp_path / "figures" / "gap.svg"
    assert plot.main([f"results={folder}", "figure=gap", f"out={out}"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_bytes().startswith(b"<?xml")
    for wrong, message in (("figure=pie", "figure=pie"), ("out=x.gif", "x.gif"), ("group=1", "group=1")):
        given = [f"results={folder}", *([] if "figure" in wrong else ["figure=gap"]), wrong]
        assert plot.main(given) == 2
        assert message in capsys.readouterr().err
