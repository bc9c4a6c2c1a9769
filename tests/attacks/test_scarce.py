"""A machine that has little to give: shared memory, memory, asserts, folders that others work in at the same time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment
from synthetic import make_record

from scaling.records.record import write_record

pytestmark = pytest.mark.slow
TINY = (
    "data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=20", "budget.steps=2",
    "budget.exponent=0", "optim.batch_size=8", "device=cpu", "wandb=disabled",
)  # fmt: skip
# Of every file that is moved to its place: who moves it is the one that made it.
_TELL_MOVES = """
import os, sys
def told(event, words):
    if event == "os.rename" and str(words[1]).endswith("record.json"):
        with open(os.environ["MOVES"], "a") as file:
            file.write(f"{words[1]}\\n")
sys.addaudithook(told)
"""


def _run(line: list[str], folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(folder) | {"SCALING_CACHE": str(folder / "cache")}
    return subprocess.run([*before, sys.executable, *line], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=400)  # fmt: skip


def test_a_small_shared_memory(tmp_path: Path) -> None:
    alone = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"', "-"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no mount of its own can be made here")
    done = _run(["-m", "scaling.train", "-m", "model=vit_w48d3,resnet8_w8", "workers=2", *TINY], tmp_path, *alone)
    assert done.returncode == 0, done.stderr
    assert "2 cells finished" in done.stdout


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """A group of processes of its own, whose memory can be limited."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        made = Path(base) / f"scaling-{tmp_path.name}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / limit).write_text(str(350 << 20))
            yield made
            return
        except OSError:
            continue
        finally:
            subprocess.run(["sh", "-c", f"sleep 1; rmdir '{made}'"], capture_output=True)
    pytest.skip("no group of processes can be made here")


def test_a_groups_memory(group: Path, tmp_path: Path) -> None:
    """The system kills the worker, and the command says so, records it and ends."""
    into = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "-"]
    done = _run(["-m", "scaling.train", "model=vit_w48d3", *TINY], tmp_path, *into)
    assert done.returncode == 1, done.stderr
    assert "killed by SIGKILL, as the system does when memory runs out" in done.stderr
    assert "Traceback" not in done.stderr
    assert _run(["-m", "scaling.train", "model=vit_w48d3", "retry=failed", *TINY], tmp_path).returncode == 0


def test_without_asserts_all_commands_say_the_same(tmp_path: Path) -> None:
    for family, exponent in (("vit", 0.4), ("cnn", 0.2)):
        for size in (100, 200, 400, 800, 1600, 3200):
            changes = dict(family=family, model=family, train_size=size, test_error=2 * size**-exponent, overrides=())
            write_record(make_record(**changes, config_hash=f"{family}{size}"), tmp_path / "r" / f"{family}{size}")
    lines = [
        ["scaling.train", "model=vit_w48d3", "sweep=SWEEP", *TINY],
        ["scaling.train", "model=vit_w48d3", "sweep=SWEEP", "dry_run=true", *TINY],
        ["scaling.status", "model=vit_w48d3", "sweep=SWEEP", *TINY],
        ["scaling.train", "model=nothing"],
        ["scaling.data", "data.root=r"],
        ["scaling.disk", "out=r"],
        ["analysis.report", "results=r", "audit=off", "figures=none", "out=report"],
        ["analysis.advise", "results=r", "audit=off", "train_size=500", "--json"],
        ["analysis.plot", "results=r", "audit=off", "figure=curves", "out=f.png"],
        ["analysis.rerun", "results=r"],
        ["analysis.report", "results=nothing"],
    ]
    for words in lines:
        plain, optimised = (
            _run([*options, "-m", *(w.replace("SWEEP", f"s{len(options)}") for w in words)], tmp_path)
            for options in ([], ["-O"])
        )
        assert optimised.returncode == plain.returncode, (words, optimised.stderr)
        assert optimised.stdout.replace("s1", "s0") == plain.stdout, words
        assert "Traceback" not in optimised.stderr


@pytest.mark.parametrize("commands", [2, 4])
def test_commands_at_once_train_each_cell_once(commands: int, tmp_path: Path) -> None:
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "sitecustomize.py").write_text(_TELL_MOVES)
    environment = clean_environment(tmp_path) | {
        "MOVES": str(tmp_path / "moves"), "PYTHONPATH": f"{tmp_path / 'told'}:{ROOT}",
        "SCALING_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    words = ["-m", "model=vit_w48d3,resnet8_w8", "seed=range(0,50)", "workers=1", "sweep=s", *TINY]
    line = [sys.executable, "-m", "scaling.train", *words]
    running = [
        subprocess.Popen(
            line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(commands)
    ]
    for process in running:
        said, _ = process.communicate(timeout=400)
        assert (process.returncode, said.split(" (")[0]) == (0, "100 cells finished")
    made = Counter((tmp_path / "moves").read_text().splitlines())
    assert (len(made), set(made.values())) == (100, {1})
    assert len(list((tmp_path / "runs" / "s").glob("*/record.json"))) == 100
