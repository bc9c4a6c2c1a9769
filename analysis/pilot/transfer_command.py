"""A pilot from weights, from the folder that was looked at to the advice: its plan, its runs, its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from analysis.advise.advice import advise
from analysis.advise.command import advice_to_dict
from analysis.arguments import InputError
from analysis.pilot.folder import Look, write_table
from analysis.pilot.place import PLAN, about
from analysis.pilot.plan import images_for
from analysis.pilot.sweep import Sweeps, TimeUp, records
from analysis.pilot.transfer import PilotStart, TransferDesign, design_of, plan_transfer, time_starts
from analysis.pilot.transfer_run import frozen_answer, run_transfer
from analysis.pilot.transfer_words import transfer_report

LARGE = 2_000  # test images that are used at most
STARTS_KEPT = 3.0  # starts of a program that are kept for the end, beside what the command keeps
MOST_KEPT = 0.15  # of the time


def _design(
    sweeps: Sweeps, found: Look, starts: Sequence[PilotStart], *, available: int, values: Mapping[str, str]
) -> TransferDesign:
    """The design of an earlier call of the same command, or one that fits the time as measured now."""
    path = sweeps.folder / PLAN
    if path.exists():
        sweeps.say("going on with the plan of the first call")
        return design_of(json.loads(path.read_text(encoding="utf-8"))["transfer"])
    classes = len(found.classes)
    count = max(120, 4 * classes)
    table = write_table(
        found, sweeps.out / f"{sweeps.sweep}_rates0" / "images.csv", train=count, val=count // 4, test=count
    )
    sweeps.say(f"timing {' and '.join(s.name for s in starts)}")
    times = time_starts(sweeps, table, starts, images=2 * count + count // 4, size=count)
    # A machine on which a program starts slowly takes longer to end one and to fit curves, too.
    sweeps.clock.deadline -= min(STARTS_KEPT * times.overhead, MOST_KEPT * sweeps.clock.left())
    test, left = min(found.test_images, LARGE), sweeps.clock.left()
    design = plan_transfer(times, starts, available=available, classes=classes, test=test, left=left)
    sweeps.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"transfer": design.to_dict()} | about(found, values), indent=1)
    path.write_text(text, encoding="utf-8")
    return design


def advise_from_weights(
    sweeps: Sweeps, found: Look, starts: Sequence[PilotStart], *, available: int, limit: float,
    values: Mapping[str, str],
) -> None:  # fmt: skip
    """Plans, runs and prints the advice, which is kept beside the runs.

    Raises:
        InputError: a checkpoint cannot be had, nothing fits, or the time was over before anything was probed.
    """
    try:
        design = _design(sweeps, found, starts, available=available, values=values)
    except TimeUp:
        text = "stopped before any run: there is nothing to advise on yet; the same command goes on"
        raise InputError(text) from None
    largest, test = design.sizes[-1], min(found.test_images, LARGE)
    kept = images_for(largest) - largest
    table = write_table(found, sweeps.folder / "images.csv", train=largest, val=kept, test=test)
    progress = run_transfer(sweeps, table, starts, design)
    try:
        crossover = frozen_answer(sweeps)
    except InputError as error:
        raise InputError(f"no advice yet: {error}; the same command goes on") from error
    advices = [advise(crossover, factor * available) for factor in (1, 3, 10)]
    runs = records(sweeps.folder)
    told = transfer_report(advices, runs, found=found, design=design, progress=progress, limit=limit)
    content = [advice_to_dict(advice, None) for advice in advices]
    text = json.dumps({"schema": 1, "advice": content, "design": design.to_dict(), "text": told}, indent=1)
    (sweeps.folder / "advice.json").write_text(text + "\n", encoding="utf-8")
    (sweeps.folder / "advice.txt").write_text(told + "\n", encoding="utf-8")
    print(text if "--json" in values else told)
