"""Figures show what was measured and what is claimed; files are reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import as_table, make_sweep, write_sweep

from analysis import plot
from analysis.estimator.crossover.find_crossover import Crossover, find_crossover
from analysis.figures.across_questions import knobs, plot_knob
from analysis.figures.curves import plot_curves, plot_gap
from analysis.figures.diagnostics import models_with_grids, plot_learning_rates, plot_parameters, plot_residuals
from analysis.figures.render import FIGURES, draw_all, render

PLAIN = [name for name in FIGURES if name != "surface"]  # that one needs three model sizes of each family


@pytest.fixture(scope="module")
def answer() -> Crossover:
    return find_crossover(as_table(make_sweep()))


def test_every_fitted_run_is_a_point(answer: Crossover) -> None:
    ax = plot_curves(Figure().subplots(), answer)
    shown = {
        (x, y) for line in ax.lines if line.get_linestyle() == "None" for x, y in zip(*line.get_data(), strict=True)
    }
    fitted = answer.selection.fitted
    assert shown == set(zip(fitted["train_size"], fitted["test_error"], strict=True))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_the_crossing_is_marked_where_it_is(answer: Crossover) -> None:
    ax = plot_curves(Figure().subplots(), answer)
    upright = [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert answer.verdict.crossover_size in upright
    assert 4096.0 in upright  # where measuring ends
    assert {t.get_text() for t in ax.texts} == {"measured", "extrapolated"}


def test_the_gap_passes_one_at_the_crossing(answer: Crossover) -> None:
    ax = plot_gap(Figure().subplots(), answer)
    x, ratio = next(line for line in ax.lines if line.get_label() == "fitted ratio").get_data()
    place = np.exp(np.interp(0, -np.log(ratio), np.log(x)))
    assert place == pytest.approx(answer.verdict.crossover_size, rel=0.05)


def test_the_chosen_learning_rate_is_ringed(answer: Crossover) -> None:
    ax = plot_learning_rates(Figure().subplots(), answer, "resnet8")
    rings = [line.get_xdata()[0] for line in ax.lines if str(line.get_markerfacecolor()) == "none"]
    assert sorted(rings) == sorted(c.lr for c in answer.selection.choices if c.model == "resnet8" and len(c.tried) > 1)
    assert models_with_grids(answer) == ["resnet8", "vit_small"]


def test_residuals_are_the_runs_over_the_curve(answer: Crossover) -> None:
    ax = plot_residuals(Figure().subplots(), answer)
    fitted = answer.selection.fitted
    runs = fitted[(fitted["model"] == "resnet8") & (fitted["train_size"] == 1024)]["test_error"]
    expected = np.exp(np.log(runs).mean()) / answer.families.curves["resnet8"].predict([1024.0])[0]
    drawn = [y for container in ax.containers for y in container[0].get_ydata()]
    assert min(abs(y / expected - 1) for y in drawn) < 1e-9
    assert len(drawn) == 12


def test_parameters_show_every_run_at_its_size(answer: Crossover) -> None:
    ax = plot_parameters(Figure().subplots(), answer)
    points = [y for line in ax.lines if line.get_linestyle() == "None" for y in line.get_ydata()]
    assert sorted(points) == sorted(answer.selection.fitted["test_error"])
    assert ax.get_xlabel() == "parameters"


@pytest.fixture(scope="module")
def both(answer: Crossover) -> list[Crossover]:
    return [find_crossover(as_table(make_sweep(locality=1))), answer]


def test_the_knob_shows_where_the_curves_cross_and_where_not(both: list[Crossover]) -> None:
    assert knobs(both) == ["locality"]
    assert knobs(both[:1]) == []
    ax = plot_knob(Figure().subplots(), both, "locality")
    verdict = both[1].verdict
    points = {(x, y) for line in ax.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    assert {(0.0, verdict.crossover_size), (0.0, verdict.interval[0]), (0.0, verdict.interval[1])} <= points
    assert (1.0, 40960.0) in points  # the CNN is ahead to the horizon
    assert [t.get_text() for t in ax.texts] == ["CNN ahead"]
    unknown = find_crossover(as_table(make_sweep(seeds=1)).query("lr in (0.004, 0.01)"))
    ax = plot_knob(Figure().subplots(), [both[0], unknown], "locality")
    assert sorted(t.get_text() for t in ax.texts) == ["CNN ahead", "not identifiable"]


def test_all_figures_are_drawn_in_all_formats(both: list[Crossover]) -> None:
    drawn = draw_all(both, ("svg",))()
    assert drawn.names == [PLAIN, PLAIN]
    assert drawn.whole == ["overview", "knob"]  # all of these runs are from scratch and of a grid
    assert len(drawn.files) == 12
    assert all(content.startswith(b"<?xml") for content in drawn.files.values())
    assert draw_all(both[:1], ())().files == {}


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_answer_gives_the_same_bytes(answer: Crossover, name: str) -> None:
    for kind in ("svg", "png", "pdf") if name == "curves" else ("svg",):
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
    from PIL import Image

    png = tmp_path / "curves.png"
    assert plot.main([f"results={folder}", "figure=curves", f"out={png}", "width=7", "height=3"]) == 0
    assert Image.open(png).size == (1540, 660)  # at 220 dots per inch
    capsys.readouterr()
    for wrong, message in (
        ("width=x", "width=x"),
        ("figure=knob", "do not differ"),
        ("figure=pie", "figure=pie"),
        ("out=x.gif", "x.gif"),
        ("group=1", "group=1"),
    ):
        given = [f"results={folder}", *([] if "figure" in wrong else ["figure=gap"]), wrong]
        assert plot.main(given) == 2
        assert message in capsys.readouterr().err
