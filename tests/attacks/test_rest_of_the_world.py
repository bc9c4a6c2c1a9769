"""Commands end in the right result or in one clear line, whatever the machine denies them."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import clean_environment
from synthetic import make_record

from scaling.records.record import write_record

CELL = ("model=vit_mu", "data.train_size=20", "data.test_size=40", "budget.steps=2", "wandb=disabled", "device=cpu")
SECRET = "sesame-91f3"
NOBODY = 65534
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")


def _records(folder: Path) -> Path:
    for family, exponent in (("vit", 0.35), ("cnn", 0.2)):
        for size in (100, 200, 400, 800, 1600):
            changes = dict(family=family, model=family, train_size=size, test_error=2 * size**-exponent)
            write_record(make_record(**changes, config_hash=f"{family}{size}"), folder / f"{family}{size}")
    return folder


def _run(
    line: Sequence[str], cwd: Path, *, before: Callable[[], None] | None = None, **variables: str | None
) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(cwd) | {"SCALING_CACHE": str(cwd / "cache")}
    environment = {k: v for k, v in (environment | variables).items() if v is not None}
    return subprocess.run([sys.executable, *line], cwd=cwd, env=environment, capture_output=True, timeout=240,
                          encoding="utf-8", preexec_fn=before)  # fmt: skip


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in (1, 2), done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith(("Understood", "cost:", "note:"))]
    assert line.startswith("error: ")
    return line


def test_the_c_locale_and_no_home(tmp_path: Path) -> None:
    """A name beyond ASCII is printed and written, asserts or none."""
    records = _records(tmp_path / "bäume")
    line = ["-O", "-m", "scaling.disk", f"out={records}"]
    done = _run(line, tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0", HOME=None, SCALING_CACHE=None)
    assert done.returncode == 0, done.stderr
    assert "vit100" in done.stdout
    line = ["-O", "-m", "analysis.rerun", f"results={records}", "out=bäume"]
    done = _run(line, tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0", HOME=None, SCALING_CACHE=None)
    assert done.returncode == 0, done.stderr
    assert "bäume" in done.stdout


@pytest.mark.parametrize("module", ["analysis.rerun", "scaling.disk"])
def test_a_full_output_is_one_line(module: str, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    records = _records(tmp_path / "runs" / "s")
    words = {"analysis.rerun": [f"results={records}"], "scaling.disk": ["out=runs"]}[module]
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", module, *words], cwd=tmp_path, env=clean_environment(tmp_path),
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=240)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: standard output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_outputs(closed: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    line = f"{sys.executable} -m scaling.disk out=runs {closed}"
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""


@as_root
def test_another_user_without_rights(tmp_path: Path) -> None:
    """Somebody who may read the runs and write nowhere: status and advice work, training and reports say why not."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    records = _records(tmp_path / "runs" / "s")

    def become_nobody() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        return _run(["-m", *line], tmp_path, before=become_nobody, PYTHONDONTWRITEBYTECODE="1", MPLCONFIGDIR=None)

    try:
        subprocess.run([sys.executable, "-c", "import numpy"], preexec_fn=become_nobody, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this Python cannot be started by others")
    assert "0 finished" in run("scaling.status", *CELL).stdout
    assert run("analysis.rerun", f"results={records}").returncode in (0, 2)
    assert "cannot be written" in _one_line(run("scaling.train", *CELL))


def test_few_file_handles(tmp_path: Path) -> None:
    records = _records(tmp_path / "runs")
    code = f"""if True:
        import sys
        from analysis.arguments import parse_table
        from analysis.estimator.rows.table import load
        assert len(load(parse_table(dict(results={str(records)!r})))) == 10
    """
    done = _run(["-c", code], tmp_path, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_secret_is_in_nothing_that_is_written(tmp_path: Path) -> None:
    """A key in the environment, a run with every tracker, a report: none of the files holds it."""
    words = [*CELL, "wandb=offline", "trackers=[csv]", "wandb.notes=n"]
    done = _run(["-m", "scaling.train", *words], tmp_path, WANDB_API_KEY=SECRET.ljust(40, "0"), MY_TOKEN=SECRET)
    assert done.returncode == 0, done.stderr
    refused = _run(["-m", "scaling.train", *words, "wandb.notes='${oc.env:MY_TOKEN}'"], tmp_path, MY_TOKEN=SECRET)
    assert refused.returncode == 2
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    for text in (done.stdout, done.stderr, refused.stdout, refused.stderr):
        assert SECRET not in text
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.parametrize("denied", ["home", "cwd", "handles", "tmp", "memory", "optimised"])
def test_a_run_where_something_is_denied(denied: str, tmp_path: Path) -> None:
    variables: dict[str, str | None] = {"SCALING_CACHE": None}
    line, before = ["-m", "scaling.train", *CELL], None
    if denied == "home":
        variables["HOME"] = "/proc/nowhere"
    if denied == "cwd":
        line.append("out=/proc/runs")
    if denied == "handles":
        before = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    if denied == "tmp":
        variables["TMPDIR"] = "/proc/nowhere"
    if denied == "memory":
        before = lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # noqa: E731
    if denied == "optimised":
        line.insert(0, "-O")
    done = _run(line, tmp_path, before=before, **variables)
    assert "Traceback" not in done.stderr
    if denied == "cwd":
        assert "cannot be written" in _one_line(done)
    elif denied == "memory":
        assert done.returncode in (0, 1)
        assert done.returncode == 0 or "error: " in done.stderr or "failed" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
