"""Draws one figure of a question's answer, or what one inspected ViT learned.

python -m analysis.plot results=runs/quickstart figure=curves out=curves.pdf
python -m analysis.plot run=runs/SWEEP/CELL out=DIR     one run: mechanism.png, and rollout.png with examples
python -m analysis.plot run=runs/SWEEP out=DIR          a sweep: the numbers against train_size, beside its curves
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.arguments import TABLE_KEYS, TABLE_WORDS, InputError, TableArguments, run_command, with_table
from analysis.estimator.crossover.questions import find_crossovers
from analysis.estimator.crossover.tables import law_contest
from analysis.figures.mechanism import draw_examples, draw_run, read_run
from analysis.figures.mechanism_sweep import draw_sweeps
from analysis.figures.render import FIGURES, WHOLE, render

USAGE = f"""usage: python -m analysis.plot results=PATH figure=NAME [out=FILE] [key=value ...]

Draws one figure in a paper's style.
  figure=NAME          of one question: curves (error against size), gap (ViT error over CNN error), residuals,
                       learning_rates (the grids), parameters (error against model size), surface
                       (where the joint laws cross, against training FLOPs and parameters); of all questions: overview
                       (small multiples), knob (crossover size against what was changed), modes (scratch, frozen and
                       fine-tuned), design (what an adaptive design knew against its cost)
  out=FILE             .png, .svg or .pdf; NAME.png by default
  group=0              which question of the results, in the order of crossover.json
  width=3.5 height=    inches; 3.5 is a paper's column
  run=PATH             instead of results=: what `python -m scaling.inspect run=PATH` wrote about a run or a sweep;
                       out is then a folder, the run's own by default
{TABLE_KEYS}"""


_OWN = ("figure", "out", "group", "width", "height")


def _inches(own: dict[str, str], key: str) -> float | None:
    if key not in own:
        return None
    try:
        value = float(own[key])
    except ValueError:
        value = 0.0
    if not 1 <= value <= 40:
        raise InputError(f"{key}={own[key]} is not a number of inches from 1 to 40")
    return value


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    name = own.get("figure", "")
    if name not in FIGURES and name not in WHOLE:
        raise InputError(f"figure={name} is not one of {', '.join([*FIGURES, *WHOLE])}")
    out = Path(own.get("out", f"{name}.png"))
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"out={out}: neither .png, .svg nor .pdf")
    width, height = _inches(own, "width"), _inches(own, "height")
    crossovers = find_crossovers(arguments)
    wanted = own.get("group", "0")
    if not wanted.isdecimal() or int(wanted) >= len(crossovers):
        raise InputError(f"group={wanted}: there are groups 0 to {len(crossovers) - 1}")
    figure = WHOLE[name](crossovers) if name in WHOLE else FIGURES[name](crossovers[int(wanted)])
    if figure is None:
        reasons = {
            "learning_rates": "no model has several learning rates at one size, with val_error: there is no grid",
            "parameters": "no run says its num_params",
            "residuals": "no model has the 3 sizes that a curve needs",
            "gap": "no ViT and CNN with the 3 sizes that a curve needs",
            "surface": "the families share no FLOPs of training and no number of parameters",
            "knob": "the questions do not differ in locality, image_size or num_classes",
            "overview": "there is one question only",
            "modes": "no images were tried in several modes (from scratch, frozen, fine-tuned)",
            "design": "no plan.jsonl of an adaptive design lies beside the runs",
        }
        if name == "surface" and isinstance(why := law_contest(crossovers[int(wanted)]), str):
            reasons[name] = why
        raise InputError(f"figure={name}: {reasons[name]}")
    if width or height:
        figure.set_size_inches(width or figure.get_figwidth(), height or figure.get_figheight())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(render(figure, kind, salt=name))
    print(out)
    return 0


def _run_figures(path: Path) -> dict[str, Figure]:
    """The figures of one inspected run, by file name."""
    numbers, arrays = read_run(path)
    if "attention_distance" not in numbers:
        raise InputError(f"{path}: {numbers['model']} is no ViT of ours; it appears beside the ViTs of its sweep")
    siblings = sorted(path.parent.glob("*/inspect.json"), key=lambda file: file.parent.name)
    others = (read_run(file.parent) for file in siblings)
    cnn = next((a for n, a in others if n["family"] == "cnn" and n["train_size"] == numbers["train_size"]), None)
    return {"mechanism.png": draw_run(numbers, arrays, cnn=cnn), "rollout.png": draw_examples(numbers, arrays)}


def _run_mechanism(values: dict[str, str]) -> int:
    """Draws what was inspected of a run's folder or a sweep's."""
    if not values.get("run"):
        raise InputError("run= is missing: the folder of a run or a sweep")
    path = Path(values["run"])
    out = Path(values.get("out", path))
    one = (path / "record.json").exists() or (path / "inspect.json").exists()
    figures = _run_figures(path) if one else draw_sweeps(path)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / name, dpi=110, metadata={"Software": None})
        print(out / name)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(word.startswith("run=") for word in arguments):
        return run_command(USAGE, ("run", "out"), _run_mechanism, arguments)
    return run_command(USAGE, (*TABLE_WORDS, *_OWN), with_table(run), arguments)


if __name__ == "__main__":
    sys.exit(main())
