"""The process that runs cells: takes them from a pipe, one after the other, and never outlives the one that began it.

Torch and the data stay loaded between cells. What it says through the pipe: ("ready", torch's version) once,
("began", device) when a cell is its own, ("ended", status, text) after each.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path

from scaling.config import CellConfig
from scaling.records.cell_folder import Stamp, record_stamp
from scaling.records.files import TEMPORARY, first_line
from scaling.records.lock import Busy, cell_lock

FIRST_PROCESS = "SCALING_PARENT"  # environment: HOST:PID of the command whose end is to end the workers, too
_PR_SET_PDEATHSIG = 1
_FATAL = ("CUDA error", "device-side assert", "an illegal memory access")  # after these a process's GPU state is broken


def first_process() -> int | None:
    """A pidfd of the original command, or None if it runs on another host (or this system has no pidfds). Needed
    because a launcher in between may leave its jobs running."""
    host, _, pid = os.environ.get(FIRST_PROCESS, "").rpartition(":")
    if host != socket.gethostname() or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(int(pid))
    except ProcessLookupError:
        os._exit(1)


def _end_with_parent() -> None:
    """Ends this process when its parent ends, however that ends: by the kernel on Linux, and by a thread elsewhere."""
    parent = parent_process()
    assert parent is not None
    first = first_process()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            Path("/proc/self/oom_score_adj").write_text("500")  # short of memory: this process, not the sweep's

    def watch() -> None:
        wait([parent.sentinel] if first is None else [parent.sentinel, first])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(cell: CellConfig, seen: Stamp, pipe: Connection) -> tuple[str, str | None]:
    """Runs a cell if nobody else is at it or has been since `seen`: (status, text)."""
    from scaling.models.devices import device_label, find_device
    from scaling.training.cell import run_cell

    with cell_lock(cell.folder):
        if record_stamp(cell.folder) != seen:
            return "elsewhere", None
        for path in cell.folder.glob(TEMPORARY):  # of a process that was killed; the lock says that none is at work
            path.unlink(missing_ok=True)
        pipe.send(("began", device_label(find_device(cell.device))))
        record = run_cell(cell)
        return record.status, record.error_text


def serve(pipe: Connection) -> None:
    """Runs the cells that come through the pipe until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; the parent decides
    _end_with_parent()
    try:
        import torch

        from scaling.training.checkpoint import Stopped, stop_request
    except (ImportError, MemoryError, OSError, RuntimeError) as error:  # too little memory, a broken installation
        sys.exit(f"error: a worker cannot load torch: {first_line(error)}")

    stop_request.install()
    pipe.send(("ready", torch.__version__))
    try:
        while True:
            cell, seen = pipe.recv()
            try:
                status, text = _attempt(cell, seen, pipe)
            except Busy:
                status, text = "busy", None
            except Exception as error:  # outside the run itself, such as a disk that is full: there is no record
                status, text = "unrecorded", f"{type(error).__name__}: {error}"
            pipe.send(("ended", status, text))
            if status == "failed" and any(word in str(text) for word in _FATAL):
                return  # the next cell gets a process whose GPU works
            if status == "failed" and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
    except Stopped:
        with contextlib.suppress(OSError):
            pipe.send(("ended", "stopped", None))
    except (EOFError, OSError):  # the parent has no more cells
        return
