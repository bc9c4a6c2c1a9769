"""Checkpoints of a run under way: everything that it needs to end with the same bits as a run that nobody stopped.

A file is `checkpoint-STEP-DIGEST.pt`, written under another name first. The two newest stay, so that one which was
damaged later (its digest, a sha256, tells) leaves the one before. They are removed when the run has its result.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from scaling.records.cell_folder import CHECKPOINTS
from scaling.records.files import set_aside, write_whole

_KEPT = 2

RunState = dict[str, Any]  # tensors, numbers, strings, and lists and dicts of them: read back by weights only


class Stopped(BaseException):
    """The run was asked to stop, and has; a checkpoint lies in its folder unless it keeps none."""


class StopRequest:
    """Makes SIGTERM end a run by `Stopped`: at once, but during training after the step and its checkpoint."""

    def __init__(self) -> None:
        self.came = self._waits = False

    def install(self) -> None:
        """To be called in the main thread of a process that runs cells."""
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, signum: int, frame: Any) -> None:
        self.came = True
        if not self._waits:
            raise Stopped

    @contextlib.contextmanager
    def waits(self) -> Iterator[None]:
        """Within the block the run looks at `came` by itself."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False


stop_request = StopRequest()


def capture(model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, **more: Any) -> RunState:
    """The state of a run between two steps, random states included (those of dropout and drop path)."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()} | more
    if device.type == "cuda":
        state["device_random"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["device_random"] = torch.mps.get_rng_state()
    return state


def restore(state: RunState, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Puts model, optimiser and random states where `capture` found them."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if "device_random" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["device_random"], device)
    elif "device_random" in state and device.type == "mps":
        torch.mps.set_rng_state(state["device_random"])


class Collected(Protocol):
    """What a run has collected beside its weights, such as its curve."""

    def state(self) -> RunState: ...

    def take_over(self, state: RunState) -> None: ...


def clear_checkpoints(folder: Path) -> None:
    """Removes the checkpoints of a run that has its result."""
    for path in folder.glob(CHECKPOINTS):
        path.unlink(missing_ok=True)


class Checkpoints:
    """The checkpoints of one run, in its folder.

    Args:
        folder: the cell's.
        config_hash: of the run; a checkpoint of another one is not used.
        seconds: between two checkpoints; 0 after every step, None never.
        rest: what else the run has collected, saved and taken over with its state.
    """

    def __init__(self, folder: Path, config_hash: str, *, seconds: float | None, rest: Collected | None = None) -> None:
        self._folder, self._hash, self._seconds, self._rest = folder, config_hash, seconds, rest
        self._last = time.monotonic()

    def _found(self) -> list[Path]:
        """Newest first."""
        named = [(re.fullmatch(r"checkpoint-(\d+)-[0-9a-f]+\.pt", path.name), path) for path in
                 self._folder.glob(CHECKPOINTS)]  # fmt: skip
        return [path for _, path in sorted(((int(m[1]), path) for m, path in named if m), reverse=True)]

    def load(self) -> RunState | None:
        """The newest valid checkpoint; others are set aside, and named in a line."""
        for path in self._found():
            try:
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest()[:16] != path.stem.rsplit("-", 1)[1]:
                    raise ValueError("its content is not what was written")
                state: RunState = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                if state["config_hash"] != self._hash:
                    raise ValueError(f"it is of another configuration ({state['config_hash']})")
                if self._rest:
                    self._rest.take_over(state["rest"])
            except Exception as error:  # whatever is wrong with it: the run can start from an earlier point
                aside = set_aside(path)
                print(f"warning: {path} is damaged ({error}); set aside as {aside.name}", file=sys.stderr)
            else:
                return state
        return None

    def due(self) -> bool:
        """Whether the run, between two steps, is to save its state now."""
        passed = self._seconds is not None and time.monotonic() - self._last >= self._seconds
        return passed or stop_request.came

    def save(self, state: RunState) -> None:
        """Writes a checkpoint; a disk that is full costs a warning, not the run.

        Raises:
            Stopped: this run was asked to stop.
        """
        if self._seconds is not None:
            buffer = io.BytesIO()
            rest = self._rest.state() if self._rest else {}
            torch.save(state | {"config_hash": self._hash, "rest": rest}, buffer)
            content = buffer.getbuffer()  # not a copy: with its optimiser a large model is several GB
            name = f"checkpoint-{state['step']:08d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
            try:
                write_whole(self._folder / name, content)
            except OSError as error:
                print(f"warning: {self._folder}: no checkpoint written ({error.strerror}); goes on", file=sys.stderr)
            else:
                for old in self._found()[_KEPT:]:
                    old.unlink(missing_ok=True)
        self._last = time.monotonic()
        if stop_request.came:
            raise Stopped
