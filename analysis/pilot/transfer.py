"""Plans a pilot from weights: what each checkpoint is, how long its features take, and which resolution and sizes fit.

Extraction costs nearly everything and is done once; probes cost next to nothing, so that nine sizes in five chains come
with it. What is left of the time goes into fine-tunes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.arguments import InputError, split_list
from analysis.pilot.plan import SIZE_STEP, images_for, smallest_size
from analysis.pilot.sweep import Sweeps, grid_text, log_line, records
from scaling.records.record import FILE_NAME, Record, RecordError, read_record
from scaling.records.weights_at_hand import pair_at_hand
from scaling.records.words import hydra_value

CHAINS = 5
PROBE_SIZES = 9
RESOLUTIONS = (224, 192, 160, 128, 112, 96, 64)  # tried from the largest down
TRIED = 96  # pixels at which extraction is timed
FASTEST = 1e-4  # seconds a picture: less is not told from the start of a program
EXTRACTION = 0.4  # share of the time that is left which extraction may take


class Unsuited(InputError):
    """Weights that this pilot cannot start from: they do not take the images, or their features take too long."""


@dataclass(frozen=True)
class PilotStart:
    """One checkpoint: a name of `conf/weights/`, or a finished run's folder that kept its weights."""

    name: str  # as the user gave it
    words: tuple[tuple[str, str], ...]  # that start a run from it
    side: int | None = None  # pixels that a run's model was made for
    patch: int | None = None  # its tokens' side, which a ViT of ours takes from its data

    def block(self, adapt: str, sizes: Sequence[int], seeds: Sequence[int], **more: Sequence[Any]) -> str:
        """A grid of cells from it."""
        own: dict[str, list[Any]] = {key: [value] for key, value in self.words}
        own |= {"adapt": [adapt], "data.train_size": list(sizes), "seed": list(seeds)}
        return grid_text(own | {key.replace("__", "."): list(values) for key, values in more.items()})


@dataclass(frozen=True)
class TransferDesign:
    image_size: int
    sizes: tuple[int, ...]
    extraction_seconds: float  # estimated, of all checkpoints
    seconds_per_image: Mapping[str, float]  # of one pass through each checkpoint's model, at `image_size`
    models: Mapping[str, str]  # checkpoint -> model
    families: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def design_of(values: Mapping[str, Any]) -> TransferDesign:
    return TransferDesign(**{**values, "sizes": tuple(values["sizes"])})


def found_weights(values: Mapping[str, str], say: Callable[[str], None]) -> dict[str, str]:
    """The word for weights that nobody named and that are on this machine, which is said; empty where there are none or
    others are wanted."""
    pair = () if "weights" in values or values.get("start") == "scratch" else pair_at_hand(values.get("data.cache"))
    if not pair:
        return {}
    say(f"{' and '.join(pair)} are on this machine: starting from their weights (start=scratch does not)")
    return {"weights": f"[{','.join(pair)}]"}


def parse_starts(text: str) -> list[PilotStart]:
    """The checkpoints of `weights=[A,B]`.

    Raises:
        InputError: fewer than two, or a folder that is no finished run's.
    """
    items = split_list(text)
    if len(items) < 2:
        raise InputError(f"weights={text}: two checkpoints or more, of both families, as [resnet50_a1,deit_s]")
    return [_start(item) for item in items]


def _start(item: str) -> PilotStart:
    path = Path(item).expanduser()
    if not (path.exists() or "/" in item):
        return PilotStart(item, (("weights", hydra_value(item)),))
    try:
        record = read_record(path / FILE_NAME)
    except (RecordError, OSError):
        raise InputError(
            f"weights={item}: a name of conf/weights/, or the folder of a finished run that kept its weights"
            " (keep=last)"
        ) from None
    model = [w.split("=", 1) for w in record.overrides if w.startswith(("model=", "model."))]
    words = [*((key, value) for key, value in model), ("init_from", hydra_value(str(path.resolve())))]
    return PilotStart(item, tuple(words), record.image_size, record.patch_size)


def shared_words(image_size: int, starts: Sequence[PilotStart]) -> list[str]:
    """What all cells of a pilot from weights share."""
    patch = next((s.patch for s in starts if s.patch), math.gcd(image_size, 16))
    return [f"data.image_size={image_size}", f"data.permute_patch={patch}"]


@dataclass(frozen=True)
class StartTimes:
    """What the checkpoints are and how long a picture takes at `side` pixels."""

    side: int
    seconds_per_image: Mapping[str, float]
    runs: Mapping[str, Record]  # a probe of each
    overhead: float  # seconds of a sweep whose features are there


def time_starts(sweeps: Sweeps, table: Path, starts: Sequence[PilotStart], *, images: int, size: int) -> StartTimes:
    """Times each checkpoint on the `images` images of a table, by a probe of `size` of them.

    The same once more costs the start of a program and the reading of features, which is taken off.

    Raises:
        Unsuited: a checkpoint cannot be had or used, in the line that its sweep ended with.
        InputError: all are of one family.
        TimeUp: the time is over.
    """
    known = [s.side for s in starts if s.side is not None]
    side = min(known) if known else TRIED
    walls, runs = {}, {}
    for i, start in enumerate(starts):
        sweep = f"{sweeps.sweep}_rates{i}"
        begun = time.monotonic()
        try:
            sweeps.run(table, sweep, f"[{start.block('probe', [size], [0])}]", shared_words(side, starts))
        except InputError as error:
            raise Unsuited(f"weights={start.name} cannot be probed: {error}") from error
        walls[start.name] = time.monotonic() - begun
        done = [r for r in records(sweeps.out / sweep) if r.status == "finished"]
        if not done:
            failed = next((r.error_text for r in records(sweeps.out / sweep) if r.error_text), log_line(sweeps.log, 0))
            raise Unsuited(f"weights={start.name} cannot be probed: {failed}")
        runs[start.name] = done[0]
    if {r.family for r in runs.values()} != {"vit", "cnn"}:
        kinds = ", ".join(f"{name} is a {run.family}" for name, run in runs.items())
        raise InputError(f"weights= needs checkpoints of both families: {kinds}")
    begun = time.monotonic()
    sweeps.run(
        table, f"{sweeps.sweep}_rates0", f"[{starts[0].block('probe', [size // 2], [0])}]", shared_words(side, starts)
    )
    overhead = time.monotonic() - begun
    seconds = {name: max(FASTEST, (wall - overhead) / images) for name, wall in walls.items()}
    return StartTimes(side, seconds, runs, overhead)


def probe_sizes(largest: int, classes: int) -> tuple[int, ...]:
    """Nine sizes from two images a class up, or fewer where they would be the same; empty below a factor of five."""
    smallest = smallest_size(classes)
    if largest < SIZE_STEP * smallest:
        return ()
    ratio = (largest / smallest) ** (1 / (PROBE_SIZES - 1))
    return tuple(sorted({round(smallest * ratio**k) for k in range(PROBE_SIZES)}))


def plan_transfer(
    times: StartTimes, starts: Sequence[PilotStart], *, available: int, classes: int, test: int, left: float
) -> TransferDesign:
    """The highest resolution at which all images fit, else the lowest with as many images as fit.

    Raises:
        Unsuited: not even the fewest images fit.
    """
    fixed = any(s.side is not None for s in starts)
    tops = [r.pretrain_image_size or max(RESOLUTIONS) for r in times.runs.values()]
    sides = [times.side] if fixed else [s for s in RESOLUTIONS if s <= min(tops)] or [min(tops)]
    least = math.inf
    for halvings in range(12):
        largest = available // 2**halvings
        if not probe_sizes(largest, classes):
            break
        for side in sides if halvings == 0 else sides[-1:]:
            each = {name: s * (side / times.side) ** 2 for name, s in times.seconds_per_image.items()}
            cost = sum(each.values()) * (images_for(largest) + test)
            least = min(least, cost)
            if cost <= EXTRACTION * left:
                models = {name: run.model for name, run in times.runs.items()}
                families = {name: run.family for name, run in times.runs.items()}
                return TransferDesign(side, probe_sizes(largest, classes), cost, each, models, families)
    needed = math.ceil((least / EXTRACTION + times.overhead) / 60)
    raise Unsuited(
        f"the features of the fewest images take {least:.0f} s on this machine: time_limit={needed}m would do, or"
        " smaller weights"
    )
