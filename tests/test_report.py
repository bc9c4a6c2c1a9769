"""The report: complete, self-contained, in the promised order, and nothing at all from bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from synthetic import make_record, make_sweep, write_sweep

from analysis.arguments import TableArguments
from analysis.estimator.crossover.tables import TABLES
from analysis.estimator.rows.table import load
from analysis.figures.render import FIGURES
from analysis.report import command as report

EVIL = "net<script>alert(1)</script>|`x`"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A report of two questions with a failed run, and what the command printed."""
    folder = tmp_path_factory.mktemp("a b,c") / "runs"
    nothing = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss"))
    failed = make_record(name="broken", locality=0.0, status="failed", error_text="<b>boom</b>", lr=0.5, **nothing)
    write_sweep([*make_sweep(locality=0), *make_sweep(locality=1), failed], folder)
    out = folder / "report"
    done = subprocess.run(
        [sys.executable, "-m", "analysis.report", f"results={folder}", f"out={out}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        check=True,
        timeout=120,
    )
    return out, done.stdout.splitlines()


def test_everything_promised_is_there(made: tuple[Path, list[str]]) -> None:
    out, _ = made
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"report.html", "report.md", "results.csv", "fits.json", "crossover.json"} <= names
    stems = [f"{name}-{i}" for name in FIGURES if name != "surface" for i in (0, 1)] + ["overview", "knob"]
    assert {f"figures/{stem}.{kind}" for stem in stems for kind in ("png", "svg", "pdf")} <= names
    assert {f"tables/{name}.csv" for name in TABLES} <= names
    assert not [n for n in names if n.endswith(".tmp")]


def test_files_are_of_the_kind_that_their_names_say(made: tuple[Path, list[str]]) -> None:
    for file in (made[0] / "figures").iterdir():
        assert file.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[file.suffix])
    assert (made[0] / "report.html").stat().st_size < 2_000_000


def test_every_figure_of_the_markdown_is_there(made: tuple[Path, list[str]]) -> None:
    shown = re.findall(r"\]\(([^)]+)\)", (made[0] / "report.md").read_text())
    assert len(shown) == 12
    assert all((made[0] / name).is_file() for name in shown)


def test_the_verdict_is_printed_first_and_the_path_last(made: tuple[Path, list[str]]) -> None:
    out, lines = made
    assert lines[0].startswith("strokes, locality 1, 16")
    assert Path(lines[-1]) == out / "crossover.json"
    assert (out / "report.md").read_text().replace("\\", "").startswith(lines[0])


def test_crossover_json(made: tuple[Path, list[str]]) -> None:
    out, _ = made
    found = json.loads((out / "crossover.json").read_text(), parse_constant=pytest.fail)
    assert (found["schema"], found["level"], found["headline"]) == (1, 0.9, 0)
    assert [g["key"]["locality"] for g in found["groups"]] == [1, 0]
    # The failed run's cell is missing: held back there, and only there.
    assert [c["code"] for c in found["groups"][1]["audit"] if c["status"] == "failed"] == ["cells_complete"]
    assert found["groups"][1]["verdict"] == "not_identifiable"
    assert found["groups"][0]["verdict"] == "cnn_ahead"


def test_fits_json(made: tuple[Path, list[str]]) -> None:
    out, _ = made
    fits = json.loads((out / "fits.json").read_text(), parse_constant=pytest.fail)
    models = {m["model"]: m for m in fits["groups"][0]["models"]}
    assert set(models) == {"vit_small", "resnet8"}
    assert sum(f["weight"] for f in models["resnet8"]["forms"]) == pytest.approx(1)
    assert [p["size"] for p in models["resnet8"]["points"]] == [128, 256, 512, 1024, 2048, 4096]
    assert all(p["interval"][0] <= p["median"] <= p["interval"][1] for p in models["resnet8"]["curve"])


def test_results_csv_can_be_asked_again(made: tuple[Path, list[str]]) -> None:
    out, _ = made
    again = load(TableArguments(results=(out / "results.csv",)))
    first = load(TableArguments(results=(out.parent,)))
    assert len(again) == len(first)
    columns = ["model", "train_size", "seed", "lr", "locality", "test_error"]
    by = ["model", "locality", "train_size", "lr", "seed"]
    pd.testing.assert_frame_equal(
        again.sort_values(by)[columns].reset_index(drop=True), first.sort_values(by)[columns].reset_index(drop=True)
    )


class Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_fetches_nothing(made: tuple[Path, list[str]]) -> None:
    html = (made[0] / "report.html").read_text()
    page = Collector()
    page.feed(html)
    assert not [tag for tag, _ in page.tags if tag in ("iframe", "object", "embed", "form")]
    assert not [a for tag, a in page.tags if tag == "script" and "src" in a]
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    ids = [a["id"] for _, a in page.tags if a.get("id", "").startswith("group-")]
    assert ids == ["group-0", "group-1"]


def test_the_page_without_scripts_shows_the_curves(made: tuple[Path, list[str]]) -> None:
    html = (made[0] / "report.html").read_text()
    fallbacks = re.findall(r"<noscript>(.*?)</noscript>", html, flags=re.DOTALL)
    assert [text.count("<svg") for text in fallbacks] == [1, 1]


def test_ids_of_figures_do_not_clash(made: tuple[Path, list[str]]) -> None:
    html = (made[0] / "report.html").read_text()
    html = html[: html.index('<script type="application/json"')]
    defined = re.findall(r'\bid="([^"]+)"', html)
    assert len(defined) == len(set(defined))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) <= set(defined)


def test_the_verdict_comes_first_and_failures_are_listed(made: tuple[Path, list[str]]) -> None:
    out, lines = made
    page = Collector()
    page.feed((out / "report.html").read_text())
    text = " ".join(" ".join(page.text).split())
    assert text.index(lines[0]) < text.index("question verdict") < text.index("Is the comparison fair?")
    assert "failed <b>boom</b>" in text  # as text
    assert "<b>boom" not in (out / "report.html").read_text()


def test_names_that_people_wrote_are_escaped(tmp_path: Path) -> None:
    table = pd.DataFrame([r.to_dict() for r in make_sweep()])
    table = table.assign(model=table["model"].replace("resnet8", EVIL), data='"><img src=x>', name=EVIL + table["name"])
    table.drop(columns="overrides").to_csv(tmp_path / "t.csv")
    assert report.main([f"results={tmp_path / 't.csv'}", f"out={tmp_path / 'out'}", "figures=none"]) == 0
    html, md = ((tmp_path / "out" / name).read_text() for name in ("report.html", "report.md"))
    page = Collector()
    page.feed(html)
    assert [tag for tag, _ in page.tags].count("script") == 3  # data, library, and our own
    assert "img" not in [tag for tag, _ in page.tags]
    assert "net&lt;script&gt;" in html
    assert "<script" not in md.replace("\\<script", "")
    assert not re.search(r"(?<!\\)<img", md)
    data = json.loads(next(text for text in page.text if text.startswith('{"groups"')))
    assert EVIL in [m["model"] for m in data["groups"][0]["models"]]


def test_the_order_of_rows_changes_no_byte(tmp_path: Path) -> None:
    table = pd.DataFrame([r.to_dict() for r in make_sweep()]).drop(columns="overrides")
    texts = []
    for i, rows in enumerate((table, table.sample(frac=1, random_state=1))):
        path = tmp_path / str(i) / "t.csv"
        path.parent.mkdir()
        rows.to_csv(path, index=False)
        assert report.main([f"results={path}", f"out={tmp_path / str(i) / 'out'}", "figures=svg"]) == 0
        names = ("crossover.json", "fits.json", "figures/curves-0.svg", "tables/measured.csv")
        texts.append([(tmp_path / str(i) / "out" / n).read_bytes() for n in names])
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "text", ["family,model,train_size\nvit,v,1\n", "family,model,train_size,test_error\nvit,v,1,7\n"]
)
def test_bad_input_writes_nothing(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert report.main([f"results={tmp_path / 't.csv'}", f"out={tmp_path / 'out'}"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_a_wrong_format_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([f"results={tmp_path}", "figures=gif"]) == 2
    assert "figures=gif" in capsys.readouterr().err


def test_thin_data_make_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("family,model,train_size,test_error\nvit,v,100,.5\ncnn,c,100,.4\n")
    assert report.main([f"results={tmp_path / 't.csv'}", f"out={tmp_path / 'out'}", "figures=none"]) == 0
    assert json.loads((tmp_path / "out" / "crossover.json").read_text())["groups"][0]["verdict"] == "not_identifiable"


@pytest.mark.parametrize("module", ["analysis.report", "analysis.advise", "analysis.plot"])
def test_help_names_the_keys(module: str, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command(module, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m {module} results=PATH")
    assert "filters.K=V" in done.stdout


def test_the_analysis_imports_no_torch() -> None:
    names = ("report.command", "plot", "advise.command", "pilot.command", "estimator.crossover.find_crossover")
    modules = ", ".join(f"analysis.{name}" for name in names)
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\n"
