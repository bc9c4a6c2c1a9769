"""Writes the texts of report.html and report.md from answers: everything that their templates show, as strings."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.design.history import history_of
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.modes import course_sentence, mode_contests
from analysis.estimator.crossover.wording import percent, title
from analysis.estimator.curve.average import DRAWS
from analysis.estimator.curve.discrepancy import SETTINGS
from analysis.figures.render import Drawn
from analysis.report.differences import differences
from analysis.report.page_data import knob_charts
from analysis.report.section import CAPTIONS, inline_svg, section

SCRIPTS = ("parts", "curves", "panels", "knob", "tip", "controls", "report")  # each uses those before it
SNIPPET = "window.vegaEmbed = vegaEmbed;"  # what the page needs of Vega
MARKS = {"passed": "\N{CHECK MARK}", "failed": "\N{BALLOT X}", "unknown": "?"}
METHOD = (
    "Each model's error is averaged over forms (power law, with irreducible error, shifted, saturating at"
    " chance, broken once), weighted by how well each predicts the points given weak priors, and with a smooth"
    " deviation from the form of {deviations} (weighted likewise) that grows beyond the data. Residuals are"
    " those of log errors; the noise is the binomial noise of the test set and the spread over seeds, and runs"
    " far off their neighbours' line count less.",
    "Intervals hold {level} of {draws:,} replicates, in which noise, priors and deviations are drawn again and"
    " the curves refitted; those of the two families are paired so that beyond the data a lead changes no faster than"
    " leads do. A crossing is looked for from the smallest measured size on; verdicts speak up to {horizon:g} times the"
    " largest measured size. An interval without an end on one side is open: the data do not say.",
    "Per model and size the learning rate with the lowest mean validation error over its seeds is used, even"
    " where it has fewer seeds than others; test errors choose nothing. Runs that did not finish are listed,"
    " never fitted.",
)


def _method(level: float) -> list[str]:
    deviations = ", ".join(f"{100 * s:g}%" for s in sorted(set(SETTINGS.discrepancy)))
    values = {"deviations": deviations, "level": percent(level), "draws": DRAWS, "horizon": HORIZON}
    return [paragraph.format(**values) for paragraph in METHOD]


def _markdown(text: str) -> str:
    """Text that people wrote, on one line and without the signs that Markdown would take for its own."""
    return re.sub(r"([\\`*_\[\]<>|#~$!&])", r"\\\1", " ".join(str(text).split()))


def _code(text: str) -> str:
    """A code span that holds any text, backticks included."""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


@functools.cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the package that ships them."""
    import vl_convert

    return vl_convert.javascript_bundle(SNIPPET).replace("</script", "<\\/script")


def render_pages(
    crossovers: Sequence[Crossover],
    charts: Sequence[Mapping[str, Any]],
    drawn: Drawn,
    *,
    pictures: Sequence[Sequence[Mapping[str, str]]],
    command: str,
    versions: Mapping[str, str],
) -> tuple[str, str]:
    """report.html and report.md.

    Args:
        charts: per question what its interactive plots show.
        drawn: the figures, which lie in `figures/`.
        pictures: per question the pictures of what its ViTs learned, {caption, png in base64}.
    """
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": _markdown, "code": _code}
    data = {"groups": charts, "knobs": knob_charts(crossovers)}
    values = {
        "groups": [section(c, i, drawn, p) for i, (c, p) in enumerate(zip(crossovers, pictures, strict=True))],
        "knobs": data["knobs"],
        "differences": differences(crossovers),
        "modes": [
            {"title": title(contest.key) or "all rows", "sentence": course_sentence(contest)}
            for contest in mode_contests(crossovers)
        ],
        "modes_svg": inline_svg(svg, "modes") if (svg := drawn.files.get("modes.svg")) else "",
        "whole": [name for name in drawn.whole if f"{name}.png" in drawn.files and name != "design"],
        "design_png": "design.png" in drawn.files,
        "designs": [
            {"title": title(c.key) or "all rows", "sentence": history.sentence}
            for c in crossovers
            if (history := history_of(c.selection.rows)) is not None
        ],
        "design_svg": inline_svg(svg, "design") if (svg := drawn.files.get("design.svg")) else "",
        "captions": CAPTIONS,
        "marks": MARKS,
        "method": _method(crossovers[0].level),
        "command": command,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        # "<" would end the script element; within JSON strings it may be written so.
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "library": library(),
        "style": (folder / "report.css").read_text(encoding="utf-8"),
        "script": "".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
    }
    html = environment.get_template("report.html.j2").render(values)
    return html, environment.get_template("report.md.j2").render(values)
