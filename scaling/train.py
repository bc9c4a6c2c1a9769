"""The main entry: `python -m scaling.train` runs one cell, or with `sweeps=NAME` or `-m` a sweep of them.

Exit status: 0 done, 1 some cells failed, 2 bad input or configuration (one line, nothing started).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from scaling import __version__
from scaling.compose import CONF, SWEEPS, list_options, rerun_overrides
from scaling.config import CellConfig, ConfigError
from scaling.init_from import inherit
from scaling.parse import parse
from scaling.pool import PoolError
from scaling.sweep import Outcome, run_cells, started_by_torchrun
from scaling.tracking import closing_lines

USAGE = """usage: python -m scaling.train [sweeps=NAME] [key=value ...] [-m key=a,b,c]

Trains one cell (a model on a subset of the data), or every cell of a sweep that has no record yet.
  python -m scaling.train model=resnet8 data=strokes data.train_size=1024 seed=0
  python -m scaling.train sweeps=quickstart
  python -m scaling.train -m model=resnet8,vit_w48d3 data.train_size=128,256,512 seed=0,1 sweep=mine
  python -m scaling.train init_from=runs/quickstart/CELL data.image_size=40     # fine-tune a run with kept weights
  torchrun --nproc-per-node=2 -m scaling.train model=vit_b data=folder data.root=DIR    # one cell on two devices

Records go to out/sweep/CELL/record.json (runs/ by default); keep=last keeps the final weights there.
--cfg job shows the composed settings.
"""


REFUSALS = (ConfigError, HydraException, OmegaConfBaseException)


def print_help() -> None:
    print(USAGE)
    for title, group in (("Models (model=)", "model"), ("Data sets (data=)", "data"), ("Optimisers", "optim")):
        print(f"{title}:")
        for name, line in list_options(CONF / group):
            print(f"  {name:<14} {line}")
    print("Sweeps (sweeps=):")
    for name, line in list_options(SWEEPS):
        print(f"  {name:<14} {line}")


def cell_of(config: DictConfig, bases: dict[str, Any], compose: Callable[[Sequence[str]], Any]) -> CellConfig:
    """The cell of a composed config, with the overrides that compose it again.

    Args:
        config: the composed config, its `hydra` node included.
        bases: a cache of what the group choices alone compose to; filled here.
        compose: composes a list of overrides.
    """
    choices = {group: str(config.hydra.runtime.choices[group]) for group in ("data", "model")}
    key = repr(choices)
    if key not in bases:
        bases[key] = compose([f"{group}={choice}" for group, choice in choices.items()])
    return parse(config, overrides=rerun_overrides(config, bases[key], choices))


def finish(outcome: Outcome, cell: CellConfig) -> int:
    """Says what a run came to and returns the exit status."""
    place = f"{cell.out}/{cell.sweep}"
    left = f", {outcome.left} left" if outcome.left else ""
    print(
        f"{outcome.finished} cells finished ({outcome.skipped} before), {len(outcome.failures)} failed{left}: {place}"
    )
    if len(outcome.failures) + outcome.finished > outcome.skipped:
        for line in closing_lines(cell):
            print(line)
    return 1 if outcome.failures or outcome.left else 0


Act = Callable[[Sequence[CellConfig]], int]


def reach(cells: Sequence[CellConfig]) -> int:
    """Brings the cells to their records and returns the exit status."""
    return finish(run_cells(cells), cells[0])


act: Act = reach  # what is done with the cells of the command; scaling.status only looks at them


def _refuse(error: Exception) -> int:
    """Prints an error as one line and returns the exit status."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "; ".join(lines)
    # Hydra names the places it searched, which are of no use to a user, and lists options one a line.
    text = text.split("; Config search path:")[0].replace(":; ", ": ")
    print(f"error: {text}", file=sys.stderr)
    return 2


def _run_one(config: DictConfig) -> None:
    """What Hydra calls for a single cell (and launchers of other packages for each cell of a sweep)."""
    full = config.copy()
    with open_dict(full):
        full.hydra = HydraConfig.get()
    try:
        cell = cell_of(full, {}, lambda overrides: compose("config", list(overrides), return_hydra_config=True))
        status = act([cell])
    except REFUSALS as error:
        status = _refuse(error)  # not raised: Hydra would add lines of its own
    if status:
        sys.exit(status)


def _stop(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None, *, act: Act = reach) -> int:
    """Composes the cells of a command and does with them what `act` says."""
    globals()["act"] = act
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if started_by_torchrun() and os.environ["RANK"] != "0":  # what there is to say, the first process says
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if "--version" in arguments:
        print(__version__)
        return 0
    if {"-h", "--help"} & set(arguments):
        print_help()
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the one line below is all that is printed
    sys.argv[1:] = inherit(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_run_one)()
    except REFUSALS as error:
        return _refuse(error)
    except PoolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
