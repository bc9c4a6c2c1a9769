"""Names and messages that came out of files reach pages, tables and terminals as text; paths stay where they belong."""

import csv
import dataclasses
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, clean_environment
from synthetic import make_record

from analysis.arguments import parse_table
from analysis.estimator.rows.table import csv_text, load
from analysis.report.command import main as report
from scaling.config import ConfigError
from scaling.disk import find_items
from scaling.disk import main as disk
from scaling.records.files import defused, make_private, sealed, try_write_whole, undefused, unsealed, write_together
from scaling.records.record import write_record
from scaling.records.wrong_images import WrongImagesError, read_wrong_images

ODD = "<script>alert(1)</script>|`x`](javascript:1)\x1b[31m"


def _rows(**changes: Any) -> pd.DataFrame:
    rows = []
    for family, model, exponent in (("vit", f"vit{ODD}", 0.35), ("cnn", f"cnn{ODD}", 0.2)):
        for size in (100, 200, 400, 800, 1600, 3200):
            error = 2 * size**-exponent
            rows.append(dict(family=family, model=model, train_size=size, seed=0, test_error=error, test_examples=4000))
    return pd.DataFrame(rows).assign(**changes)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.odd: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.odd += [value for key, value in attrs if key in ("href", "src") and value and "javascript" in value]


def test_a_report_escapes_what_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = _rows().assign(model=_rows()["family"])
    for name, table in (
        ("odd", _rows(data=f"=cmd|' /C calc'!A0{ODD}", note="@SUM(1)", wandb_url="javascript:alert(7)")),
        ("plain", plain),
    ):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        assert report([f"results={name}.csv", f"out={name}", "figures=none", "audit=off"]) == 0
    pages = {name: (tmp_path / name / "report.html").read_text(encoding="utf-8") for name in ("odd", "plain")}
    tags = {name: _Tags() for name in pages}
    for name, page in pages.items():
        tags[name].feed(page)
    assert tags["odd"].scripts == tags["plain"].scripts  # none that the rows brought
    assert tags["odd"].odd == []
    assert "javascript:alert(7)" not in pages["odd"]  # where a run's page would be linked
    markdown = (tmp_path / "odd" / "report.md").read_text(encoding="utf-8")
    assert "<script" not in markdown.replace("\\<script", "")
    for path in (tmp_path / "odd").rglob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))):
            for cell in row:
                assert defused(cell) == cell, (path, cell)
    again = load(parse_table({"results": str(tmp_path / "odd" / "results.csv")}))
    assert set(again["test_error"]) == set(_rows()["test_error"])
    assert {path.name for path in tmp_path.iterdir()} == {"odd", "odd.csv", "plain", "plain.csv"}


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx", "\r=x", "'=x", "'", "", "a=b", "-1.5", "+3", "-"])
def test_a_cell_of_a_table_is_no_formula_and_reads_back(text: str) -> None:
    shown = defused(text)
    assert not shown.startswith(("=", "@", "\t", "\r"))
    if shown.startswith(("+", "-")):
        float(shown)
    assert undefused(defused(text)) == (text[1:] if text == "'=x" else text)
    table = csv_text(pd.DataFrame({"model": [text], "config_hash": ["h"], "=x": [1]}))
    assert next(csv.reader(io.StringIO(table)))[-1] == "'=x"


def test_names_in_a_table_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for family in ("vit", "cnn"):
        for size in (100, 200, 400, 800, 1600):
            name = f"../../{family}"
            changes = dict(family=family, model=name, name=name, sweep=name, data="../../data", data_fingerprint=name)
            error = 2 * size ** -(0.3 if family == "vit" else 0.2)
            record = make_record(**changes, config_hash=f"{family}{size}", train_size=size, test_error=error)
            write_record(record, inside / "runs" / f"{family}{size}")
    assert report(["results=runs", "figures=none", "audit=off"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b"}
    assert {path.name for path in inside.iterdir()} == {"runs", "report"}


@pytest.mark.parametrize("word", ["sweep=../x", "sweep=..", "sweep=/tmp/x", "sweep='a b'", "sweep='a\\tb'"])
def test_a_sweep_cannot_leave_out(word: str, make_cell: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="names a folder"):
        make_cell(word)


@pytest.mark.parametrize("word", ["data.name='../../x'", "model.name='../../x'", "data.name='/etc/x'"])
def test_names_cannot_leave_the_sweeps_folder(word: str, make_cell: Callable[..., Any], tmp_path: Path) -> None:
    cell = make_cell(word, f"out={tmp_path}", "model=vit_mu")
    assert cell.folder.parent == tmp_path / "single"
    assert "/" not in cell.cell_name


def test_disk_follows_no_link_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside"
    for place in (outside / "cell", outside / "wandb", tmp_path / "runs" / "mine" / "cell"):
        place.mkdir(parents=True)
        for name in ("record.json", "weights.pt", "run.wandb"):
            (place / name).write_bytes(b"x" * (10_000 if place == outside / "wandb" else 10))
    runs = tmp_path / "runs"
    (runs / "linked").symlink_to(outside)
    (runs / "mine" / "other").symlink_to(outside / "cell")
    (runs / "mine" / "wandb").symlink_to(outside / "wandb")
    (runs / "mine" / "cell" / "best.pt").symlink_to(outside / "cell" / "weights.pt")
    assert sum(item.size for item in find_items(runs)) < 10_000
    assert disk([f"out={runs}", "remove=weights,wandb,checkpoints,damaged,report"]) == 0
    assert len(list(outside.rglob("*"))) == 8
    assert not (runs / "mine" / "cell" / "weights.pt").exists()
    for sweep in ("../outside", "linked", str(outside)):
        assert disk([f"out={runs}", f"sweep={sweep}", "remove=weights"]) == 2
    assert len(list(outside.rglob("*"))) == 8
    capsys.readouterr()


def _run(code: str, tmp_path: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = clean_environment(tmp_path)
    line = [sys.executable, "-c", code]
    return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=120, **options)


def test_a_terminal_gets_no_escape_codes(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from scaling.records.exit_status import exit_status
        def main():
            print("a\\x1b]0;title\\x07b\\x9b31mc\\u202ed\\tä")
            print("e\\x1b[2Jf", file=sys.stderr)
            raise ValueError("g\\x1b[3Jh")
        exit_status(main)
    """
    done = _run(code, tmp_path)
    assert done.stdout.decode() == "a\\x1b]0;title\\x07b\\x9b31mc\\u202ed\tä\n"
    assert b"e\\x1b[2Jf" in done.stderr
    assert b"g\\x1b[3Jh" in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_damaged_records_message_is_text(tmp_path: Path) -> None:
    """From a name of a folder to the line that names it."""
    place = tmp_path / "runs\x1b[31m" / "cell"
    place.mkdir(parents=True)
    (place / "record.json").write_text("{")
    line = [sys.executable, "-m", "analysis.report", f"results={place.parent}"]
    done = subprocess.run(line, cwd=tmp_path, env=clean_environment(tmp_path), capture_output=True, timeout=120)
    assert done.returncode == 2
    assert b"\\x1b[31m" in done.stderr
    assert b"\x1b" not in done.stderr


def test_an_npz_is_read_without_pickles(tmp_path: Path) -> None:
    path, mark = tmp_path / "wrong.npz", tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    np.savez(path, test=np.array([Attack()], dtype=object), test_count=np.array(1))
    with pytest.raises(WrongImagesError):
        read_wrong_images(path)
    assert not mark.exists()
    np.load(path, allow_pickle=True)["test"]
    assert mark.exists()  # it would have run


def test_caches_are_the_users_own_and_sealed(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert try_write_whole(tmp_path / "cache" / "sub" / "file", sealed(b"abc"))
        make_private(tmp_path / "other" / "sub")
    finally:
        os.umask(before)
    for folder in ("cache", "cache/sub", "other", "other/sub"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700
    content = (tmp_path / "cache" / "sub" / "file").read_bytes()
    assert unsealed(content) == b"abc"
    for at in range(len(content)):
        with pytest.raises(ValueError, match="checksum"):
            unsealed(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_files_that_belong_together_come_together(tmp_path: Path) -> None:
    write_together(tmp_path, {"a": b"1", "sub/b": b"1"})

    def fail(file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, {"a": b"2", "sub/b": fail})
    assert [(tmp_path / name).read_bytes() for name in ("a", "sub/b")] == [b"1", b"1"]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "sub"}


@pytest.mark.slow
def test_a_report_that_is_interrupted_leaves_the_older_one_whole(tmp_path: Path) -> None:
    """SIGINT at ever later moments: what lies there is the old report or the new one, never a mixture."""
    _rows().assign(model=_rows()["family"]).to_csv(tmp_path / "a.csv", index=False)
    worse = _rows().assign(model=_rows()["family"], test_error=0.9 * _rows()["test_error"])
    worse.to_csv(tmp_path / "b.csv", index=False)
    line = [sys.executable, "-m", "analysis.report", "out=out", "figures=none", "audit=off"]

    def run(name: str, after: float | None) -> int:
        process = subprocess.Popen([*line, f"results={name}.csv"], cwd=tmp_path, env=clean_environment(tmp_path),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        if after is not None:
            time.sleep(after)
            process.send_signal(signal.SIGINT)
        return process.wait(timeout=240)

    def content() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}

    whole = []
    for name in "ab":
        assert run(name, None) == 0
        whole.append(content())
    for after in np.linspace(0.2, 6, 8):
        run("a", float(after))
        assert content() in whole


def test_a_record_with_a_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    record = make_record(error_text=os.fsdecode(b"bild-\xff.png"))
    path = write_record(record, tmp_path)
    assert json.loads(path.read_bytes())["error_text"] == record.error_text
    assert dataclasses.asdict(record)["status"] == "finished"
    assert ROOT.is_dir()
