"""Gives advice on a folder of images within a time limit: measures this machine and runs a sweep that fits the time.

python -m analysis.pilot data.root=DIR time_limit=30m
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.advise.command import advice_to_dict
from analysis.arguments import InputError, TableArguments, run_command
from analysis.pilot.folder import Look, look, write_table
from analysis.pilot.place import PLAN, about, find_place
from analysis.pilot.plan import (
    PAIRS,
    Design,
    MachineRates,
    ModelPair,
    choose_design,
    design_to_dict,
    designs,
    fewest_images,
    from_dict,
    image_sizes,
    images_used,
    rates_from_dict,
)
from analysis.pilot.reading import reading_lines
from analysis.pilot.run import PilotProgress, run_pilot
from analysis.pilot.sweep import Clock, Sweeps, TimeUp, measure_rates
from analysis.pilot.transfer import Unsuited, found_weights, parse_starts
from analysis.pilot.transfer_command import LARGE, advise_from_weights
from scaling.config.cell_config import ConfigError
from scaling.config.data_words import DATA_KEYS, data_config
from scaling.records.design_plan import PLAN_FILE
from scaling.records.files import write_whole
from scaling.records.weights_at_hand import pair_at_hand
from scaling.records.words import hydra_value

USAGE = """usage: python -m analysis.pilot data.root=DIR time_limit=30m [key=value ...] [--json]

Looks at your images (train/<class>/* and test/<class>/*, or <class>/*), measures this machine, runs a sweep of small
CNNs and ViTs that fits the time, and says what to do with today's images, with 3 times and with 10 times as many.
Ctrl-C ends the sweep and still gives advice; the same command goes on where it stopped.
  data.root=DIR        the folder, zip or tar; data=table, parquet, npz, hub or webdataset for others; the other
                       data.* keys of scaling.train say how they are read. Files that cannot be read are set aside and
                       listed (data.skip_unreadable=false refuses them)
  time_limit=30m       all in all: 90s, 30m, 2h
  weights=[A,B]        checkpoints of both families to start from, by their names in conf/weights/ or the folders of
                       finished runs that kept their weights: probes on their frozen features, then fine-tunes as far
                       as the time allows
  start=pretrained     the default where weights= is given, or where a fair pair of conf/weights/ is on this machine;
                       start=scratch leaves it aside
  out=runs             where the runs go, in a folder of their own
  workers=N            runs side by side; as many as there are cores by default
  device=auto          or cpu, cuda, mps
  --json               the advice as JSON"""
OWN_CHOICE = ("image_size", "train_size", "subset_seed", "locality", "permute_patch", "permute_seed", "augment")
READING = ("data", *(f"data.{key}" for key in ("root", "name", "layout", "leaks", "group", "val_share", "test_share")))
_DATA_KEYS = tuple(key for key in DATA_KEYS if key.removeprefix("data.") not in OWN_CHOICE)
KEYS = ("data.root", "time_limit", "start", "weights", "out", "workers", "device", "--json", *_DATA_KEYS)
_LITERALS = ("true", "false", "null")  # what settings mean by them, never texts
ADVICE_SECONDS = 20.0  # kept for ending the sweep and for the fits


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)?", text.strip())
    if not match or float(match[1]) <= 0:
        raise InputError(f"time_limit={text} is not a time such as 90s, 30m or 2h")
    return float(match[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600}[match[2] or "s"]


def _check_words(values: dict[str, str]) -> None:
    for key in ("data.root", "time_limit"):
        if not values.get(key):
            raise InputError(f"{key}= is missing; --help says what it is")
    start = values.get("start", "pretrained" if "weights" in values else None)
    if start not in ("scratch", "pretrained", None):
        raise InputError(f"start={start} is neither scratch nor pretrained")
    if start == "scratch" and "weights" in values:
        raise InputError("start=scratch takes no weights=; start=pretrained does")
    if start == "pretrained" and "weights" not in values and not pair_at_hand(values.get("data.cache")):
        raise InputError("start=pretrained needs weights=[A,B]: checkpoints of both families, such as "
                         "[resnet50_a1,deit_s]; no such pair is on this machine")  # fmt: skip
    if "workers" in values and not re.fullmatch(r"[1-9]\d*", values["workers"]):
        raise InputError(f"workers={values['workers']} is not a number of workers")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check(found: Look) -> int:
    """The images to train on, validation apart.

    Raises:
        InputError: too few for any curve.
    """
    available = len(found.train)
    classes = len(found.classes)
    needed = fewest_images(classes, held_out=found.held_out)
    have = found.train_images + (found.test_images if found.held_out else 0)
    if have < needed:
        raise InputError(
            f"data.root={found.root} has {have:,} training images in {classes} classes: too few for a curve;"
            f" {needed:,} are the least"
        )
    if found.test_images < 2 * classes:
        raise InputError(f"data.root={found.root} has {found.test_images:,} test images: too few to tell models apart")
    return available


def _options(sweeps: Sweeps, found: Look, available: int, limit: float) -> tuple[list[Design], MachineRates]:
    """The honest designs with their costs. Larger models are measured only where there is time.

    Raises:
        InputError: the sweep refused the folder.
        TimeUp: the time is over.
    """
    sides = image_sizes(found.sides[1])
    classes, test = len(found.classes), min(found.test_images, LARGE)
    count = max(120, 4 * classes)
    file = sweeps.out / f"{sweeps.sweep}_rates" / "images.csv"
    probe = write_table(found, file, train=count, val=count // 4, test=count)
    known = {"classes": classes, "available": available, "median_side": found.sides[1], "test_images": test}

    def measure(pairs: Sequence[ModelPair], at: Sequence[int]) -> tuple[list[Design], MachineRates]:
        names = ", ".join(f"{p.vit} and {p.cnn}" for p in pairs)
        _say(f"measuring {names} at {' and '.join(map(str, at))} pixels")
        seconds = found.decode_seconds
        rates = measure_rates(sweeps, probe, pairs=pairs, sides=at, classes=classes, decode_seconds=seconds)
        return designs(**known, rates=rates), rates

    first, rates = measure(PAIRS[:1], sides[-1:])
    if not first or min(d.seconds for d in first if d.seeds == 2) > 0.4 * sweeps.clock.left():
        return first, rates
    return measure(PAIRS if limit >= 3600 else PAIRS[:2], sorted({sides[0], sides[-1]}))


def _design(
    sweeps: Sweeps, found: Look, available: int, limit: float, known_data: dict[str, Any]
) -> tuple[Design, MachineRates]:
    """The design of an earlier call of the same command, or one that fits the time as measured now.

    Raises:
        InputError: nothing honest fits.
        TimeUp: the time is over.
    """
    path = sweeps.folder / PLAN
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            planned = from_dict(known["design"]), rates_from_dict(known["rates"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(f"{path} is no plan of this command; without that file it starts anew") from error
        _say("going on with the plan of the first call")
        return planned
    options, rates = _options(sweeps, found, available, limit)
    design = choose_design(options, sweeps.clock.left())
    if design is None:
        least = min(options, key=lambda d: d.seconds)
        needed = (least.seconds + (limit - sweeps.clock.left())) * 1.1
        raise InputError(
            f"nothing honest fits in {limit:.0f} s on this machine: the smallest sweep with tuned learning rates and"
            f" steps enough takes about {math.ceil(needed / 60)} minutes (time_limit={math.ceil(needed / 60)}m)"
        )
    sweeps.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"design": design_to_dict(design), "rates": vars(rates)} | known_data, indent=1)
    path.write_text(text, encoding="utf-8")
    return design, rates


def _advise(
    sweeps: Sweeps, found: Look, design: Design, progress: PilotProgress, *, available: int, limit: float, json_: bool
) -> None:
    from analysis.advise.advice import advise
    from analysis.advise.next_runs import next_runs
    from analysis.estimator.crossover.questions import find_crossovers
    from analysis.pilot.wording import report

    # An incomplete seed would hold everything back for its missing cells; without a complete one all runs are used.
    # With a plan beside the runs the audit knows which were meant to be there.
    planned = (sweeps.folder / PLAN_FILE).is_file()
    filters = {"seed": tuple(map(str, progress.seeds))} if progress.seeds and not planned else {}
    try:
        [crossover] = find_crossovers(TableArguments(results=(sweeps.folder,), filters=filters))
    except InputError as error:
        raise InputError(f"no advice yet: {error}; the same command goes on") from error
    advices = [advise(crossover, factor * available) for factor in (1, 3, 10)]
    plans = [next_runs(advice, (sweeps.folder,), available=available) for advice in advices]
    # What was stopped early goes on by the same command: no other runs are proposed then.
    first = next((p for p in plans if p is not None and p.commands and progress.complete), None)
    content = [advice_to_dict(a, p) for a, p in zip(advices, plans, strict=True)]
    text = json.dumps({"schema": 1, "advice": content, "design": design_to_dict(design)}, indent=1, allow_nan=False)
    (sweeps.folder / "advice.json").write_text(text + "\n", encoding="utf-8")
    told = report(advices, first, found=found, design=design, progress=progress, limit=limit)
    (sweeps.folder / "advice.txt").write_text(told + "\n", encoding="utf-8")
    print(text if json_ else told)


def _options_of(values: dict[str, str], found: Look) -> tuple[str, ...]:
    """What every sweep is told: the user's words that do not say which images there are, and what was found white."""
    words = {k: v for k, v in values.items() if k in ("workers", "device")}
    words |= {
        k: v if v.lower() in _LITERALS else hydra_value(v)
        for k, v in values.items()
        if k in _DATA_KEYS and k not in READING
    }
    whites = found.found.decoded.facts.whites()
    if len(whites) == 1:  # that of all images, not of those that the sweeps use
        words.setdefault("data.white", f"{whites[0][1]:g}")
    return tuple(f"{k}={v}" for k, v in words.items() if not k.startswith(("data.columns", "data.skip_unreadable")))


def run(values: dict[str, str]) -> int:
    _check_words(values)
    own_weights = found_weights(values, _say)
    values = values | own_weights
    starts = parse_starts(values["weights"]) if "weights" in values else []
    begun = time.monotonic()
    limit = _seconds(values["time_limit"])
    clock = Clock(begun + max(0.0, limit - ADVICE_SECONDS))
    out = Path(values.get("out", "runs"))
    clock.listen()
    try:
        config = data_config({"data.skip_unreadable": "true"} | values)
    except ConfigError as error:
        raise InputError(str(error)) from error
    own = (str(out.absolute()),)
    for line in reading_lines(config, own, limit):
        _say(line)
    found = look(config, seconds=0.05 * limit, own=own)
    available = _check(found)
    place = find_place(found, values, out)
    sweeps = Sweeps(out, place.sweep, _options_of(values, found), clock, _say)
    told = [line for line in found.lines() if not line.startswith(("not used", "set aside"))]  # the notes say those
    for line in (*place.notes, *found.found.notes, *told):
        _say(line)
    if starts:
        try:
            advise_from_weights(sweeps, found, starts, available=available, limit=limit, values=values)
            return 130 if clock.stopped else 0
        except Unsuited as error:
            if not own_weights or values.get("start") == "pretrained":
                raise
            _say(f"{error}; from scratch instead")
            values = {key: value for key, value in values.items() if key != "weights"}
            place = find_place(found, values, out)
            sweeps = Sweeps(out, place.sweep, _options_of(values, found), clock, _say)
    try:
        design, rates = _design(sweeps, found, available, limit, about(found, values))
    except TimeUp:
        raise InputError(
            "stopped before any run: there is nothing to advise on yet; the same command goes on"
        ) from None
    vit, cnn = design.models
    _say(
        f"plan: {vit} and {cnn} at {design.image_size} pixels, {', '.join(f'{n:,}' for n in design.sizes)} images,"
        f" {design.seeds} seed{'s' if design.seeds > 1 else ''}, about {design.seconds:.0f} s"
    )
    test = min(found.test_images, LARGE)
    kept = images_used(design) - design.sizes[-1]
    images = write_table(found, sweeps.folder / "images.csv", train=design.sizes[-1], val=kept, test=test)
    if found.unreadable:
        write_whole(sweeps.folder / "set_aside.txt", ("\n".join(found.unreadable) + "\n").encode(errors="replace"))
    progress = run_pilot(sweeps, images, design, rates, images_used(design) + test)
    _advise(sweeps, found, design, progress, available=available, limit=limit, json_="--json" in values)
    return 130 if clock.stopped else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, KEYS, run, arguments)
