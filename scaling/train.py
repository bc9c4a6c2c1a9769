"""The main entry: `python -m scaling.train` runs one cell, or with `sweeps=NAME` or `-m` a sweep of them.

Exit status: 0 done, 1 some cells failed, 2 bad input or configuration (one line, nothing started).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scaling import __version__
from scaling.compose.command_words import read_command_line
from scaling.compose.composer import Composer
from scaling.compose.paths import CONF, SWEEPS, list_options
from scaling.compose.plain_errors import plain_line
from scaling.config import ConfigError
from scaling.records.exit_status import INTERRUPTED, drop_output, exit_status
from scaling.study.run_study import finish, run_study
from scaling.study.search import objectives
from scaling.sweep.hydra_job import make_job
from scaling.sweep.objective import CellFailed
from scaling.sweep.pool import PoolError
from scaling.sweep.runners import local_runner
from scaling.sweep.torchrun import started_by_torchrun

USAGE = """usage: python -m scaling.train [sweeps=NAME] [key=value ...] [-m key=a,b,c]

Trains one cell (a model on a subset of the data), or every cell of a sweep that has no record yet.
  python -m scaling.train model=resnet8 data=strokes data.train_size=1024 seed=0
  python -m scaling.train sweeps=quickstart                     # dry_run=true: only what it will cost
  python -m scaling.train sweeps=quickstart tune=lr             # find each model's learning rate, write a recipe
  python -m scaling.train sweeps=quickstart check=budget        # the same at twice the steps, next to its crossing
  python -m scaling.train -m model=resnet8,vit_w48d3 data.train_size=128,256,512 seed=0,1 sweep=mine
  python -m scaling.train init_from=runs/quickstart/CELL data.image_size=40     # fine-tune a run with kept weights
  torchrun --nproc-per-node=2 -m scaling.train model=vit_b data=folder data.root=DIR    # one cell on two devices

Records go to out/sweep/CELL/record.json (runs/ by default); keep=last keeps the final weights there.
--cfg job shows the composed settings.
"""


REFUSALS = (ConfigError, HydraException, OmegaConfBaseException)


def print_help() -> None:
    print(USAGE)
    for title, group in (("Models (model=)", "model"), ("Data sets (data=)", "data"), ("Weights (weights=)", "weights"),
                         ("Optimisers", "optim")):  # fmt: skip
        print(f"{title}:")
        for name, line in list_options(CONF / group):
            print(f"  {name:<14} {line}")
    print("Sweeps (sweeps=):")
    for name, line in list_options(SWEEPS):
        print(f"  {name:<14} {line}")


def refuse(error: Exception) -> int:
    """Prints an error as one line and returns the exit status."""
    print(f"error: {plain_line(error)}", file=sys.stderr)
    if started_by_torchrun() and os.environ["RANK"] != "0":
        time.sleep(20)  # torchrun ends all when one leaves, and the first process is the one that says why
    return 2


def _run_command(composer: Composer, words: list[str], *, search: bool) -> float | None:
    """A command of one cell; or, of a sweeper that launches cells itself, one of them, whose objective is returned."""
    if search:
        with local_runner() as runner:
            [value] = objectives(composer, [words], runner)
        if isinstance(value, CellFailed):
            raise value
        return value
    try:
        with local_runner() as runner:
            status = finish(*run_study(composer, [words], runner))
    except REFUSALS as error:
        status = refuse(error)  # not raised: Hydra would add lines of its own
    except BrokenPipeError:
        drop_output()
        sys.exit(0)
    if status:
        sys.exit(status)
    return None


def _stop(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
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
    try:
        line = read_command_line(arguments)
    except REFUSALS as error:
        return refuse(error)
    sys.argv[1:] = [*line.flags, *line.words]
    signal.signal(signal.SIGTERM, _stop)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup sets
        signal.signal(signal.SIGHUP, _stop)
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(make_job(_run_command))()
    except REFUSALS as error:
        return refuse(error)
    except (PoolError, CellFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is left", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
