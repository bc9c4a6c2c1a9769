"""The best mode and family at each size: as the laws of the runs have it, and with none that the audit holds back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import started

from analysis.advise.command import main as advise_main
from analysis.arguments import parse_table
from analysis.estimator.crossover.modes import ModeContest, contest_sentence, course_sentence, mode_contests
from analysis.estimator.crossover.questions import answer_all
from analysis.estimator.rows.table import read_results
from analysis.report.command import main as report_main

# Error at n; per mode and family. Frozen ViT and fine-tuned ViT cross where .2 n^-.15 = 2 n^-.5, at n = 720.
LAWS: dict[str, dict[str, Any]] = {
    "probe": {"vit": lambda n: 0.2 * n**-0.15, "cnn": lambda n: 0.25 * n**-0.15},
    "full": {"vit": lambda n: 2 * n**-0.5, "cnn": lambda n: 2.6 * n**-0.5},
    "scratch": {"vit": lambda n: 0.9 * n**-0.1, "cnn": lambda n: 0.8 * n**-0.1},
}


def three_modes(**columns: Any) -> pd.DataFrame:
    parts = []
    rng = np.random.default_rng(3)
    for mode, laws in LAWS.items():
        own = {"adapt": mode} if mode != "scratch" else {"adapt": "", "init_from": "", "start_fingerprint": ""}
        table = started(**own, **columns)
        noise = np.exp(rng.normal(0, 0.01, len(table)))
        table["test_error"] = [laws[f](n) for f, n in zip(table["family"], table["train_size"], strict=True)] * noise
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def contests(path: Path, table: pd.DataFrame, *words: str) -> list[ModeContest]:
    table.to_csv(path / "t.csv", index=False)
    arguments = parse_table({"results": str(path / "t.csv")} | dict(w.split("=", 1) for w in words))
    return list(mode_contests(answer_all(arguments, read_results(arguments))))


def test_the_best_mode_changes_where_the_laws_cross(tmp_path: Path) -> None:
    [contest] = contests(tmp_path, three_modes())
    first, then = contest.lasting()
    assert (first.best.mode, first.best.family) == ("probe", "vit")
    assert (then.best.mode, then.best.family) == ("full", "vit")
    assert then.start == pytest.approx(720, rel=0.1)
    assert first.probability > 0.95
    best, second, sure = contest.standing(400) or pytest.fail("nothing stands")
    assert (best.mode, best.family, second.mode, second.family) == ("probe", "vit", "full", "vit")
    assert sure > 0.95
    sentence = contest_sentence(contest, 400)
    value, other = 0.2 * 400**-0.15, 2 * 400**-0.5
    assert f"at 400 images: the frozen ViT (deit_s), {value:.3f}"[:-1] in sentence
    assert f"against {other:.3f}"[:-1] in sentence
    assert "of the fine-tuned ViT" in sentence
    turn = re.search(r"; from about (\d+) fine-tune it\.$", sentence)
    assert turn is not None
    assert float(turn[1]) == pytest.approx(720, rel=0.1)
    assert course_sentence(contest).startswith("Best of all modes and families: from 100 images the frozen ViT")


def test_one_mode_or_unlike_images_are_no_contest(tmp_path: Path) -> None:
    table = three_modes()
    assert contests(tmp_path, table[table["adapt"] == "probe"]) == []
    assert contests(tmp_path, table.assign(data=table["adapt"].replace("", "scratch"))) == []
    other = table.assign(data="flowers")
    assert [c.key["data"] for c in contests(tmp_path, pd.concat([table, other]))] == ["flowers", "pets"]


def test_what_the_audit_holds_back_has_no_say(tmp_path: Path) -> None:
    table = three_modes(strength=1.0, strengths="[1, 1, 1]")
    [contest] = contests(tmp_path, table)
    assert {e.mode for e in contest.entrants} == {"scratch", "full"}
    assert "held back by the audit: frozen runs" in contest_sentence(contest, 400)


def test_advice_and_report_say_it_first_and_draw_it(tmp_path: Path, capsys) -> None:
    three_modes().to_csv(tmp_path / "t.csv", index=False)
    assert advise_main([f"results={tmp_path}/t.csv", "train_size=400"]) == 0
    first = capsys.readouterr().out.split("\n")[0]
    assert "pixels: at 400 images: the frozen ViT (deit_s), 0.08" in first
    assert advise_main([f"results={tmp_path}/t.csv", "train_size=400", "--json"]) == 0
    assert "the frozen ViT" in json.loads(capsys.readouterr().out)["modes"][0]
    out = tmp_path / "report"
    assert report_main([f"results={tmp_path}/t.csv", f"out={out}", "figures=[png,svg]"]) == 0
    assert (out / "figures" / "modes.png").stat().st_size > 10_000
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert "Best of all modes and families" in page
    assert "Best of all modes and families" in text
    assert "figures/modes.png" in text
    for words in ("from scratch (deit_s)", "frozen features (deit_s)", "fine-tuned (resnet50)"):
        assert words in (out / "figures" / "modes.svg").read_text()
