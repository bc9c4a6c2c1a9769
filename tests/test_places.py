"""Numbers that stand in several places are the same everywhere; the committed results stay small."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from analysis.public_curves.lcdb import judge_lcdb, lcdb_readme

ROOT = Path(__file__).resolve().parent.parent
README, FINDINGS, GUIDE = "README.md", "docs/findings.md", "docs/guide.md"
CIFAR, VISION, TABLES, LCDB = (
    f"results/{name}/README.md" for name in ("cifar10_small", "vision-benchmark", "public-tables", "lcdb")
)
# What is said: the pages that say it, and how. The groups of all finds must be equal; named ones count in their order.
PLACES: dict[str, dict[str, str]] = {
    "the quickstart's crossing": {
        README: r"overtakes the CNN near ([\d,]+) images \(90% interval ([\d,]+\W[\d,]+)\), inside",
        FINDINGS: r"overtakes the CNN\s+near ([\d,]+) images \(90% interval ([\d,]+\W[\d,]+)\), P",
    },
    "the same by the whole grid": {
        README: r"crossing near ([\d,]+) images \(([\d,]+\W[\d,]+)\): the design",
        FINDINGS: r"cells of its space say near ([\d,]+) \(([\d,]+\W[\d,]+)\)",
    },
    "who leads on CIFAR-10": {
        README: r"CNN is ahead from 500 to ([\d,]+) images\*\* \(fitted\s+up to ([\d,]+\d)",
        FINDINGS: r"ahead of the ViT from 500 to ([\d,]+) images \(measured up to ([\d,]+\d)",
        CIFAR: r"## Locality 1\n```\n.*\n```\n> .* from 500 to ([\d,]+) images \(measured up to ([\d,]+\d)",
    },
    "where the ViT overtakes on CIFAR-10 without locality": {
        README: r"the ViT overtakes near ([\d,]+)\*\*\s+\(90% interval ([\d,]+\W[\d,]+)\)",
        FINDINGS: r"locality 0, .* overtakes the CNN near ([\d,]+) images \(90% interval ([\d,]+\W[\d,]+)\)",
        CIFAR: r"## Locality 0\n```\n.*\n```\n> .* near ([\d,]+) images \(90% interval ([\d,]+\W[\d,]+)\)",
    },
    "verdicts on the few-shot curves": {
        FINDINGS: r"right in (\d+) of (\d+) verdicts",
        VISION: r"verdict was given for (?P<b>\d+) of \d+ pairs: (?P<a>\d+) were borne out",
    },
    "learners said to be ahead": {
        FINDINGS: r"stayed ahead in (\d+)\s+of (\d+) pairs",
        LCDB: r"borne out\*\*.*\| (\d+) of (\d+) \([\d.]+\) \| - \| - \|",
    },
    "crossings seen among the sizes shown": {
        FINDINGS: r"Of (?P<a>\d+) clear crossings among the sizes shown (?P<b>\d+) are claimed",
        LCDB: r"Of (?P<a>\d+) clear crossings among the sizes shown, (?P<b>\d+) are claimed",
    },
    "where learners cross": {
        FINDINGS: r"off by a\s+factor of (?P<a>[\d.]+) in the median\..* holds it in (?P<b>\.\d+) ",
        LCDB: r"holds the real one in 0(?P<b>\.\d+) of \d+\*\*[^|]* factor of (?P<a>[\d.]+) in the median",
    },
    "public comparisons": {FINDINGS: r"of (\w+) public comparisons", TABLES: r"So of (\w+) answers"},
}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("what", PLACES)
def test_a_number_is_the_same_in_all_its_places(what: str) -> None:
    found = {}
    for page, pattern in PLACES[what].items():
        matches = list(re.finditer(pattern, text_of(page)))
        assert matches, f"{page} no longer says {what}"
        found[page] = {tuple(m.groupdict()[k] for k in sorted(m.groupdict())) or m.groups() for m in matches}
    assert all(values == next(iter(found.values())) and len(values) == 1 for values in found.values()), found


def test_what_is_said_of_the_few_shot_curves_stands_in_their_table() -> None:
    rows = pd.read_csv(ROOT / "results" / "vision-benchmark" / "table.csv")
    pairs = rows[(rows["vit"] == "ViT/B/16") & (rows["cnn"] == "BiT/50/1")]
    places = [float(x) / 1e6 for x in pairs["crossings_seen"].str.extract(r"vit_overtakes at (\S+)")[0]]
    assert len(places) == 6
    low, high = min(places), max(places)
    said = {page: re.findall(r"between (\d+)(?: M)? and (\d+) (?:M|million) examples seen", text_of(page))
            for page in (FINDINGS, GUIDE)}  # fmt: skip
    assert all(found == [(f"{low:.0f}", f"{round(high, -1):.0f}")] for found in said.values()), said
    trails = rows[rows["cnn"] == "BiT/101/3"]
    assert set(trails["leader_at_end"]) == {"cnn"}


def test_the_errors_of_cifar10_are_those_of_its_records() -> None:
    rows = pd.read_csv(ROOT / "results" / "cifar10_small" / "results.csv")
    rows = rows[(rows["purpose"] == "sweep") & (rows["budget_factor"] == 1)]
    means = rows.groupby(["train_size", "locality", "model"])["test_error"].mean()
    order = [(loc, m) for loc in (1.0, 0.0) for m in ("resnet8", "resnet14", "vit_w48d3", "vit_w64d4")]
    lines = re.findall(r"(?m)^\| ([\d,]+) \| (\.\d{3} \|.*)$", text_of(CIFAR))
    assert len(lines) == 6
    for size, line in lines:
        said = [float(x) for x in re.findall(r"\.\d{3}", line)]
        n = float(size.replace(",", ""))
        assert said == pytest.approx([means[n, loc, model] for loc, model in order], abs=6e-4), size


def test_lcdbs_page_is_that_of_its_outcomes() -> None:
    path = ROOT / "results" / "lcdb" / "outcomes.csv"
    assert lcdb_readme(judge_lcdb(path, pairs=1)) == text_of(LCDB)


def test_the_results_stay_small() -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "results"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("not a checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert sum(file.stat().st_size for file in files) <= 12 * 2**20
    kinds = {".csv", ".json", ".jsonl", ".md", ".npz", ".png", ".py", ".yaml"}  # no images of the data, no weights
    assert {file.suffix for file in files} <= kinds
