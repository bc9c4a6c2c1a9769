"""Kills a sweep at random moments and starts it again: `make kills`, or `python tests/kills.py kills=50 seed=0`.

A kill is SIGKILL of the command, of one of its workers, or of everything. When a sweep has come to its end it must be
equal to an undisturbed one: every cell finished, its record written once and bit-equal, and nothing else left, neither
files nor processes. Then the next sweep begins in a new folder, until there were as many kills as asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as a script

from scaling.records.lock import is_held  # noqa: E402

# Tiny strokes: some cells of a second, some of several; a checkpoint every .3 s.
WORDS = """-m model=resnet8_w8,vit_w48d3 seed=0,1 budget.factor=1,4 data.image_size=8 data.permute_patch=4
data.train_size=64 data.test_size=64 budget.steps=320 optim.batch_size=16 data.augment=flip_crop
device=cpu workers=2 checkpoint_seconds=0.3 wandb=disabled sweep=killed retry=failed""".split()
KINDS = ("command", "worker", "everything")
_CLOCK_FIELDS = ("train_seconds", "images_per_second", "overrides", "digest")


class Broken(AssertionError):
    """A promise that was not kept."""


@dataclass
class Tally:
    """What was done and seen."""

    kills: Counter[str] = field(default_factory=Counter)
    sweeps: int = 0
    starts: int = 0
    checkpoints: int = 0  # that lay there when the sweep was started again
    failed: int = 0  # records of a killed worker

    def __str__(self) -> str:
        kinds = ", ".join(f"{self.kills[kind]} {kind}" for kind in KINDS)
        return (
            f"{self.kills.total()} kills ({kinds}) over {self.sweeps} sweeps and {self.starts} starts; "
            f"{self.checkpoints} checkpoints and {self.failed} failed records found when starting again: "
            "every cell finished once, bit-equal to an undisturbed sweep, nothing left"
        )


def _take_sigint() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(folder: Path, words: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "scaling.train", *words, f"out={folder}"]
    log = (folder.parent / "log.txt").open("ab")
    # A test run in the background inherits an ignored SIGINT; a sweep at a terminal does not.
    pipes = dict(stdout=log, stderr=log)
    return subprocess.Popen(line, env=environment, **pipes, start_new_session=True, preexec_fn=_take_sigint)


def family(session: int) -> list[int]:
    """The processes of a session that are alive, its leader aside."""
    alive = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != session:
            with contextlib.suppress(OSError, IndexError):
                state, _, _, its_session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
                if int(its_session) == session and state != "Z":
                    alive.append(int(entry.name))
    return alive


def workers(session: int) -> list[int]:
    """Those of the family that are worker processes (not Python's resource tracker)."""
    found = []
    for pid in family(session):
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def results(folder: Path) -> dict[str, dict]:
    """Every record by its cell, without what the clock decides."""
    found = {}
    for path in sorted(folder.rglob("record.json")):
        record = json.loads(path.read_text())
        found[path.parent.name] = {k: v for k, v in record.items() if k not in _CLOCK_FIELDS}
    return found


def _finished(folder: Path) -> dict[str, tuple[int, int]]:
    stamps = {}
    for path in folder.rglob("record.json"):
        if json.loads(path.read_text())["status"] == "finished":
            stamps[path.parent.name] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return stamps


def _await_no_family(session: int) -> None:
    deadline = time.monotonic() + 10
    while family(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    if family(session):
        raise Broken(f"processes left: {family(session)}")


def _await_work(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until some cell is running, or all have ended."""
    while process.poll() is None and not any(is_held(path.parent) for path in folder.rglob(".lock")):
        time.sleep(0.02)


def _kill(kind: str, process: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Whether there was something to kill."""
    if kind == "worker":
        found = workers(process.pid)
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(found), signal.SIGKILL)
    elif kind == "command":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    return True


def check_end(folder: Path, expected: dict[str, dict]) -> None:
    """Raises Broken unless the folder holds what an undisturbed sweep leaves."""
    found = results(folder)
    if found != expected:
        wrong = [name for name in expected if found.get(name) != expected[name]]
        raise Broken(f"{len(wrong)} of {len(expected)} cells are not as in the undisturbed sweep: {wrong}")
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    if names != {"record.json", "curve.csv", "wrong.npz"}:
        raise Broken(f"files left: {sorted(names - {'record.json', 'curve.csv', 'wrong.npz'})}")


@dataclass(frozen=True)
class Kill:
    """Who is killed, and when: at a share of the sweep's length after the start, or after some cell runs."""

    kind: str
    at_work: bool
    share: float


def _disturb(
    process: subprocess.Popen[bytes], folder: Path, plan: list[Kill], length: float, rng: random.Random
) -> Iterator[Kill]:
    """Does the next kills of the plan to this start, until one ends the command or it ends by itself."""
    while plan and process.poll() is None:
        if plan[0].at_work:
            _await_work(process, folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(plan[0].share * length)
            return
        if _kill(plan[0].kind, process, rng):
            yield plan.pop(0)


def run_killed(
    folder: Path, words: list[str], plan: list[Kill], length: float, rng: random.Random, tally: Tally
) -> None:
    """One sweep to its end, through the kills of the plan; uses up those that were done."""
    finished: dict[str, tuple[int, int]] = {}
    while True:
        tally.checkpoints += len(list(folder.rglob("checkpoint-*.pt")))
        tally.failed += sum(record["status"] == "failed" for record in results(folder).values())
        process = start(folder, words)
        tally.starts += 1
        tally.kills.update(kill.kind for kill in _disturb(process, folder, plan, length, rng))
        status = process.wait()
        _await_no_family(process.pid)
        now = _finished(folder)
        changed = [name for name, stamp in finished.items() if now.get(name) != stamp]
        if changed:
            raise Broken(f"finished cells were run again: {changed}")
        finished = now
        if status == 0:
            return
        if status not in (1, -signal.SIGKILL):
            raise Broken(f"exit status {status}; {(folder.parent / 'log.txt').read_text()[-2000:]}")


def undisturbed(folder: Path, words: list[str]) -> tuple[dict[str, dict], float]:
    """(records, seconds from its first cell's beginning) of a sweep that nobody kills."""
    process = start(folder, words)
    _await_work(process, folder)
    begun = time.monotonic()
    if process.wait() != 0:
        raise Broken((folder.parent / "log.txt").read_text()[-2000:])
    return results(folder), time.monotonic() - begun


def harass(folder: Path, *, kills: int, seed: int, words: list[str], kinds: tuple[str, ...] = KINDS) -> Tally:
    """Kills until there were `kills` of them; each sweep is held against an undisturbed one.

    Raises:
        Broken: a promise was not kept; the folder stays as it is.
    """
    rng, tally = random.Random(seed), Tally()
    expected, length = undisturbed(folder / "undisturbed", words)
    check_end(folder / "undisturbed", expected)
    plan = [Kill(kinds[i % len(kinds)], i % 5 > 0, rng.uniform(0, 0.9)) for i in range(kills)]
    rng.shuffle(plan)
    while plan:
        place = folder / f"killed-{tally.sweeps}"
        before = len(plan)
        run_killed(place, words, plan, length, rng, tally)
        check_end(place, expected)
        if len(plan) == before:  # it ended first: the machine has less to do than when the length was measured
            length *= 0.7
        tally.sweeps += 1
        shutil.rmtree(place)
        print(tally, flush=True)
    return tally


def main() -> int:
    asked = dict(word.split("=", 1) for word in sys.argv[1:])
    folder = Path(asked["folder"]) if "folder" in asked else Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    harass(folder, kills=int(asked.get("kills", 50)), seed=int(asked.get("seed", 0)), words=WORDS)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
