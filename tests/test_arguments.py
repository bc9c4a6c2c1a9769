"""Command lines: values with commas, spaces, quotes and equals signs; what is wrong gets one line and status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.arguments import TABLE_WORDS, InputError, parse_table, run_command, split_list, whole_number, with_table
from scaling import __version__


def test_a_path_that_exists_is_one_path_commas_and_all(tmp_path: Path) -> None:
    odd = tmp_path / "a b,c=[d] 'ü'.csv"
    odd.touch()
    assert parse_table({"results": str(odd)}).results == (odd,)
    assert parse_table({"results": f"'{odd}'"}).results == (odd,)


def test_several_paths_are_a_list(tmp_path: Path) -> None:
    assert parse_table({"results": "[a.csv, 'b, c.csv']"}).results == (Path("a.csv"), Path("b, c.csv"))
    assert parse_table({"results": "a,b.csv"}).results == (Path("a,b.csv"),)


def test_mappings_are_taken_apart() -> None:
    got = parse_table(
        {
            "results": "x.csv",
            "columns.train_size": "Seen Examples",
            "columns.test_error": "'Loss'",
            "family.vit": "[ViT/S/16,ViT/B/16]",
            "family.cnn": "BiT/50/1",
            "filters.Training": "1",
            "filters.Task": "[inet_10, inet_5]",
            "audit": "off",
            "level": "0.8",
            "seed": "3",
        }
    )
    assert got.columns == {"train_size": "Seen Examples", "test_error": "Loss"}
    assert got.families == {"vit": ("ViT/S/16", "ViT/B/16"), "cnn": ("BiT/50/1",)}
    assert got.filters == {"Training": ("1",), "Task": ("inet_10", "inet_5")}
    assert (got.audit, got.level, got.seed) == (False, 0.8, 3)


def test_names_that_look_like_numbers_stay_names() -> None:
    assert split_list("[1e3, no, 010]") == ("1e3", "no", "010")


@pytest.mark.parametrize(("text", "value"), [("20000", 20_000), ("20_000", 20_000), ("2e4", 20_000)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole_number("train_size", text) == value


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "many", "nan", "inf"])
def test_what_is_not_a_count(text: str) -> None:
    with pytest.raises(InputError, match="train_size"):
        whole_number("train_size", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "results= is missing"),
        (["results="], "results= is missing"),
        (["results=x.csv", "colour=red"], "unknown key colour"),
        (["results=x.csv", "family.mixer=a"], "unknown key family.mixer"),
        (["results=x.csv", "columns.=a"], "unknown key columns."),
        (["results=x.csv", "quickly"], "not of the form key=value"),
        (["results=x.csv", "results=y.csv"], "results is given twice"),
        (["results=x.csv", "level=90"], "level=90 must lie between 0 and 1"),
        (["results=x.csv", "audit=maybe"], "audit=maybe"),
        (["results=x.csv", "seed=-1"], "seed=-1"),
        (["results=x.csv", "family.vit=[a"], None),
        (["results=[a, 'b]"], "not a list"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_command("usage", (*TABLE_WORDS, "out"), with_table(lambda table, own: 0), arguments)
    out, err = capsys.readouterr()
    if message is None:  # a name may begin with a bracket
        assert status == 0
        return
    assert status == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""


def test_help_and_version_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("usage: x", (), lambda words: 1, ["--help"]) == 0
    assert capsys.readouterr().out == "usage: x\n"
    assert run_command("usage: x", (), lambda words: 1, ["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_a_closed_pipe_is_no_error() -> None:
    code = """import sys; from analysis.arguments import run_command
def talk(words):
    for _ in range(100_000): print("a line that nobody reads")
    return 3
sys.exit(run_command("usage", (), talk, []))"""
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_control_c_is_status_130() -> None:
    def stop(words: dict[str, str]) -> int:
        raise KeyboardInterrupt

    assert run_command("usage", (), stop, []) == 130
