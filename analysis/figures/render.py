"""Renders answers as whole figures and their files' bytes: the panels of `plot`, `panels` and `knob` in one style."""

from __future__ import annotations

import io
import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.design.history import history_of
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.modes import mode_contests
from analysis.estimator.crossover.tables import law_contest
from analysis.estimator.crossover.wording import short_verdict, title
from analysis.estimator.curve.law_contest import make_surface
from analysis.figures.across_questions import knobs, plot_knob
from analysis.figures.curves import plot_curves, plot_gap
from analysis.figures.design_cost import plot_cost
from analysis.figures.diagnostics import (
    has_parameters,
    models_with_grids,
    plot_learning_rates,
    plot_parameters,
    plot_residuals,
)
from analysis.figures.modes import plot_modes
from analysis.figures.style import COLUMN, STYLE
from analysis.figures.surface import plot_surface
from scaling.records.files import cores


def _single(plot: Callable[[Axes, Crossover], Axes], crossover: Crossover) -> Figure:
    """One panel, as wide as a paper's column."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.7), layout="constrained")
        plot(figure.subplots(), crossover)
        figure.suptitle(title(crossover.key))
        return figure


def _grid(count: int, *, height: float = 2.2) -> tuple[Figure, list[Axes]]:
    """A page's width of panels in rows of at most three; a column's width if there is one."""
    columns = min(3, count)
    rows = -(-count // columns)
    width = COLUMN if columns == 1 else 2 * COLUMN
    figure = Figure(figsize=(width, height * rows + 0.2), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, list(axes[:count])


def draw_curves(crossover: Crossover) -> Figure:
    return _single(plot_curves, crossover)


def draw_gap(crossover: Crossover) -> Figure | None:
    return _single(plot_gap, crossover) if crossover.verdict.fit_range is not None else None


def draw_residuals(crossover: Crossover) -> Figure | None:
    return _single(plot_residuals, crossover) if crossover.families.curves else None


def draw_learning_rates(crossover: Crossover) -> Figure | None:
    """One panel per model that has a grid; None if no model has one."""
    models = models_with_grids(crossover)
    if not models:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = _grid(len(models), height=2.4)
        for ax, model in zip(axes, models, strict=True):
            plot_learning_rates(ax, crossover, model)
        figure.suptitle(title(crossover.key))
        return figure


def draw_parameters(crossover: Crossover) -> Figure | None:
    return _single(plot_parameters, crossover) if has_parameters(crossover) else None


def draw_overview(crossovers: Sequence[Crossover]) -> Figure | None:
    """Small multiples: a panel per question, all on the same error axis; None for one question."""
    if len(crossovers) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = _grid(len(crossovers))
        for ax, crossover in zip(axes, crossovers, strict=True):
            plot_curves(ax, crossover, legend=len(crossovers) <= 3)
            ax.set_title(f"{title(crossover.key)}\n{short_verdict(crossover.verdict, None)}", pad=11)
        low, high = min(ax.get_ylim()[0] for ax in axes), max(ax.get_ylim()[1] for ax in axes)
        for ax in axes:
            ax.set_ylim(low, high)
        return figure


def draw_knob(crossovers: Sequence[Crossover]) -> Figure | None:
    """A panel per thing that differs between the questions; None if nothing that is known does."""
    names = knobs(crossovers)
    if not names:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = _grid(len(names), height=2.5)
        for ax, name in zip(axes, names, strict=True):
            plot_knob(ax, crossovers, name)
        return figure


def draw_modes(crossovers: Sequence[Crossover]) -> Figure | None:
    """Two panels, a family each, for every set of images that several modes were tried on; None if there is none."""
    contests = list(mode_contests(crossovers))
    if not contests:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN, 2.7 * len(contests) + 0.2), layout="constrained")
        for row, contest in zip(figure.subplots(len(contests), 2, squeeze=False, sharey="row"), contests, strict=True):
            for ax, family in zip(row, ("vit", "cnn"), strict=True):
                plot_modes(ax, contest, family)
            if named := title(contest.key):
                row[0].set_title(f"{named}: ViT")
        return figure


def draw_design(crossovers: Sequence[Crossover]) -> Figure | None:
    """A panel per question that an adaptive design chose runs for; None if there is none."""
    found = [(c, history) for c in crossovers if (history := history_of(c.selection.rows)) and history.steps]
    if not found:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.4 * len(found) + 0.2), layout="constrained")
        for ax, (crossover, history) in zip(figure.subplots(len(found), 1, squeeze=False)[:, 0], found, strict=True):
            plot_cost(ax, history)
            ax.set_title(f"{title(crossover.key)}\n{history.runs} of {history.cells} cells, {history.reason or 'open'}")
        return figure


def draw_surface(crossover: Crossover) -> Figure | None:
    """A panel against training FLOPs and one against parameters, as far as the families share them; None without."""
    contest = law_contest(crossover)
    if isinstance(contest, str):
        return None
    images = (contest.images[0], HORIZON * contest.images[1])
    found = [make_surface(contest, "train_flops", images)]
    found += [make_surface(contest, "num_params", images)]
    surfaces = [s for s in found if s is not None]
    if not surfaces:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = _grid(len(surfaces), height=2.5)
        for ax, surface in zip(axes, surfaces, strict=True):
            plot_surface(ax, surface, largest=contest.images[1], level=crossover.level)
        axes[0].legend(loc="best")
        figure.suptitle(title(crossover.key))
        return figure


FIGURES: Mapping[str, Callable[[Crossover], Figure | None]] = {
    "curves": draw_curves,
    "gap": draw_gap,
    "residuals": draw_residuals,
    "learning_rates": draw_learning_rates,
    "parameters": draw_parameters,
    "surface": draw_surface,
}
DOTS = 220  # per inch, of a PNG
FORMATS = ("png", "svg", "pdf")
WHOLE: Mapping[str, Callable[[Sequence[Crossover]], Figure | None]] = {
    "overview": draw_overview,
    "knob": draw_knob,
    "modes": draw_modes,
    "design": draw_design,
}


def render(figure: Figure, kind: str, *, salt: str) -> bytes:
    """The figure as png, svg or pdf; the same figure and salt give the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        if figure.get_layout_engine() is not None:
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once for all formats: it takes longer than drawing
        figure.set_dpi(DOTS)
        # By the canvases themselves: `savefig` draws everything once more beforehand.
        if kind == "png":
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        elif kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
        else:
            FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
    return buffer.getvalue()


@dataclass
class Drawn:
    """Every figure of a report in every format: `files` by name, and which there are, per question and for all."""

    files: dict[str, bytes] = field(default_factory=dict)
    names: list[list[str]] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)


_asked: Sequence[Crossover] = ()  # what the workers draw; they inherit it


def _draw_one(name: str, index: int | None, kinds: Sequence[str]) -> dict[str, bytes]:
    figure = WHOLE[name](_asked) if index is None else FIGURES[name](_asked[index])
    stem = name if index is None else f"{name}-{index}"
    return {} if figure is None else {f"{stem}.{kind}": render(figure, kind, salt=stem) for kind in kinds}


def draw_all(crossovers: Sequence[Crossover], kinds: Sequence[str] = FORMATS) -> Callable[[], Drawn]:
    """Starts to draw everything in these formats and returns what waits for it: other work can be done meanwhile.

    Drawing takes most of a report's time and holds one core; where a process can be forked, all cores share it.
    """
    global _asked
    _asked = crossovers
    jobs: list[tuple[str, int | None]] = [(name, i) for i in range(len(crossovers)) for name in FIGURES if kinds]
    jobs += [(name, None) for name in WHOLE if kinds]
    processes = min(cores(), 8) if sys.platform == "linux" else 1
    pool, running = None, []
    if processes > 1 and jobs:
        pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork"))
        running = [pool.submit(_draw_one, *job, kinds) for job in jobs]

    def collect() -> Drawn:
        drawn = Drawn(names=[[] for _ in crossovers])
        for i, (name, index) in enumerate(jobs):
            files = running[i].result() if pool else _draw_one(name, index, kinds)
            drawn.files |= files
            if files:
                (drawn.whole if index is None else drawn.names[index]).append(name)
        if pool:
            pool.shutdown()
        return drawn

    return collect
