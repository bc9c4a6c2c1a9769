"""`vit-scaling`: every command under one name, and how commands end."""

import importlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from scaling.console import COMMANDS, completion, usage
from scaling.records.exit_status import exit_status

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
CONSOLE = [sys.executable, "-c", "import sys; from scaling.console import main; sys.exit(main())"]


def call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_modules_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    package = "scaling" if name in {"train", "status", "inspect", "disk", "data"} else "analysis"
    module = f"{package}.{name.replace('-', '_')}"
    answer = call([*CONSOLE, name, "--help"])
    parts = (ROOT / package / module.split(".")[1]).is_dir()  # a command with parts is a folder
    its = importlib.import_module(f"{module}.command" if parts else module)
    assert its.main(["--help"]) == 0
    assert (answer.returncode, answer.stdout) == (0, capsys.readouterr().out)
    assert f"python -m {module}" in answer.stdout


def test_help_names_every_command_on_one_screen() -> None:
    lines = call([*CONSOLE, "--help"]).stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    named = {line.split()[0] for line in lines if line.startswith("  ")}
    assert named == {*COMMANDS, "completion"}
    programs = {file.stem for file in (ROOT / "analysis").glob("*.py") if "__main__" in file.read_text()}
    programs |= {file.parent.name for file in (ROOT / "analysis").glob("*/__main__.py")}
    assert {name.replace("-", "_") for name in named} >= programs


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_answers_at_once(word: str) -> None:
    def seconds(command: Sequence[str]) -> float:
        start = time.perf_counter()
        subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    ratios = [seconds([*CONSOLE, word]) / seconds([sys.executable, "-c", "pass"]) for _ in range(9)]
    assert statistics.median(ratios) <= 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["trian"], "the nearest is train"),
        (["public_curves"], "the nearest is public-curves"),
        (["sweeps=quickstart"], "vit-scaling train sweeps=quickstart"),
        (["completion", "tcsh"], "bash, zsh, fish"),
    ],
)
def test_unknown_words_get_one_line(words: list[str], text: str) -> None:
    answer = call([*CONSOLE, *words])
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert text in answer.stderr


def test_words_and_exit_status_pass_through(tmp_path: Path) -> None:
    answer = call([*CONSOLE, "disk", f"out={tmp_path}", "remove=nonsense"])
    assert answer.returncode == 2
    assert "remove=nonsense" in answer.stderr


def test_bash_completes_subcommands() -> None:
    script = completion("bash") + "\nCOMP_WORDS=(vit-scaling p); COMP_CWORD=1; _vit_scaling; echo ${COMPREPLY[@]}"
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["pilot", "plot", "publish", "public-curves"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_subcommand(shell: str) -> None:
    assert all(name in completion(shell) for name in COMMANDS)


@pytest.mark.parametrize(
    "command",
    [
        ["scaling.train", "--help"],
        ["scaling.status", "sweeps=quickstart", "--list"],
        ["scaling.inspect", "--help"],
        ["scaling.disk"],
        ["scaling.console", "train", "--help"],
    ],
)
def test_a_reader_that_has_gone_ends_it_quietly(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", *command], env=ENVIRONMENT, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("words", [["sweeps=quickstart"], ["model=resnet8"]])
def test_so_it_does_while_cells_are_composed(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scaling.train", *words, "dry_run=true"]
    assert subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, stdout=writer, stderr=writer).returncode == 0
    os.close(writer)


def test_ctrl_c_ends_a_watch_with_130(tmp_path: Path) -> None:
    words = ["scaling.console", "status", "sweeps=quickstart", f"out={tmp_path}", "--watch"]
    # A suite in the background of a shell ignores SIGINT and hands that on; this command is to heed it.
    start = [sys.executable, "-c", "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
             "os.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])"]  # fmt: skip
    watch = subprocess.Popen([*start, *words], env=ENVIRONMENT, stdout=subprocess.PIPE, cwd=ROOT)
    assert watch.stdout is not None
    assert watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    assert watch.wait(30) == 130


def test_own_status_and_system_exit_pass() -> None:
    assert exit_status(lambda: 1) == 1
    assert exit_status(lambda: None) == 0
    with pytest.raises(SystemExit, match="7"):
        exit_status(lambda: sys.exit(7))


def test_usage_has_no_machine_words() -> None:
    assert usage().startswith("usage: vit-scaling SUBCOMMAND")
