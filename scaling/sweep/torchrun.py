"""One cell in several processes: `torchrun --nproc-per-node=K -m scaling.train ...`.

All processes run the same command; the first one decides whether the cell is due and writes the record, the others
compute their part of every batch. Free of torch at import.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaling.compose.composer import Job
from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import is_due, lacks_weights, recorded_status
from scaling.records.lock import Busy, cell_lock
from scaling.sweep.run_cells import Outcome, make_ready

if TYPE_CHECKING:
    from scaling.training.processes import World


def started_by_torchrun() -> bool:
    """Whether this is one of several processes that torchrun started for one run."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def run_together(cell: CellConfig) -> tuple[str, bool]:
    """Runs a cell in all processes that torchrun started: (its status, whether it was so before).

    Raises:
        ConfigError: the processes cannot share its batches, or its folder cannot be used.
        KeyboardInterrupt: it was asked to stop, and has.
    """
    import torch
    import torch.distributed as dist

    from scaling.models.devices import find_device
    from scaling.training.checkpoint import Stopped, stop_request
    from scaling.training.processes import World

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    batch = cell.optim.batch_size
    if cell.adaptation == "probe":
        raise ConfigError("adapt=probe: a probe is one process; start it without torchrun")
    if batch % size:
        raise ConfigError(f"optim.batch_size={batch} is not a multiple of {size}, the number of processes")
    if find_device(cell.device).type == "cuda":
        cell = dataclasses.replace(cell, device=f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(cell.device)
    if rank == 0:
        stop_request.install()
    else:
        # The first process ends the run between two steps, with a checkpoint.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dist.init_process_group("nccl" if cell.device.startswith("cuda") else "gloo")
    try:
        if rank == 0:
            return _run_first(cell, World(rank, size))
        return _run_beside(cell, World(rank, size)), False
    except Stopped as error:
        raise KeyboardInterrupt from error
    finally:
        dist.destroy_process_group()


def _run_first(cell: CellConfig, processes: World) -> tuple[str, bool]:
    """Decides whether the cell is due, tells the others, and runs it: the one process that leaves anything on disk."""
    from scaling.training.cell import run_cell

    due = False
    try:
        with cell_lock(cell.folder):
            before = recorded_status(cell)
            if not (is_due(before, cell.retry) or lacks_weights(cell, before)):
                return str(before), True
            make_ready([cell])
            due = processes.from_first(True)
            return run_cell(cell).status, False
    except Busy as error:
        raise ConfigError(f"{cell.folder}: another process is at this run") from error
    finally:
        if not due:
            processes.from_first(False)


def _run_beside(cell: CellConfig, processes: World) -> str:
    """Computes its part of the run, if the first process says that there is one; what it writes is thrown away."""
    from scaling.training.cell import run_cell

    if not processes.from_first(None):
        return "finished"
    with tempfile.TemporaryDirectory(prefix="scaling-") as elsewhere:
        wandb = dataclasses.replace(cell.wandb, mode="disabled")
        alone = dataclasses.replace(cell, out=elsewhere, wandb=wandb, trackers=(), checkpoint_seconds=None)
        return run_cell(alone).status


class TorchrunRunner:
    """Brings the one cell of a command to its record, in all the processes that torchrun started for it."""

    own_gpus = False

    def __enter__(self) -> TorchrunRunner:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def workers(self, cells: Sequence[CellConfig]) -> int:
        return 1

    def run(self, jobs: Sequence[Job]) -> Outcome:
        """Runs the cell.

        Raises:
            ConfigError: there are several, or it cannot run here.
        """
        cells = list({(job.cell.folder, job.cell.config_hash): job.cell for job in jobs}.values())
        if len(cells) > 1:
            text = f"torchrun trains one cell, not {len(cells)}: a sweep needs no torchrun, it runs them beside"
            raise ConfigError(text)
        status, before = run_together(cells[0])
        finished = status == "finished"
        return Outcome(int(finished), int(finished and before), {} if finished else {cells[0].cell_name: status})
