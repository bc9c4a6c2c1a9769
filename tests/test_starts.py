"""From scratch, frozen and fine-tuned are three questions, and one model's name stands for one starting point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import started

from analysis import find_crossover
from analysis.arguments import InputError, parse_table
from analysis.estimator.crossover.wording import title, verdict_sentence
from analysis.estimator.rows.table import Reading, read_results
from analysis.figures.curves import untrained
from analysis.figures.render import draw_curves
from analysis.report.other_axes import views


def read(path: Any, table: pd.DataFrame, *words: str) -> Reading:
    table.to_csv(path / "t.csv", index=False)
    return read_results(parse_table({"results": str(path / "t.csv")} | dict(w.split("=", 1) for w in words)))


def test_the_key_says_what_a_run_started_from() -> None:
    found = find_crossover(started())
    assert (found.key["init"], found.key["adapt"]) == ("pretrained", "probe")
    assert "frozen features" in verdict_sentence(found)
    scratch = find_crossover(started(adapt="", init_from="", start_fingerprint=""))
    assert (scratch.key["init"], scratch.key["adapt"]) == ("scratch", None)
    silent = find_crossover(started().drop(columns=["adapt", "init_from"]))
    assert (silent.key["init"], silent.key["adapt"]) == (None, None)


def test_older_rows_with_init_from_are_fine_tunes() -> None:
    found = find_crossover(started().drop(columns="adapt"))
    assert (found.key["init"], found.key["adapt"]) == ("pretrained", "full")
    assert title(found.key).endswith("fine-tuned")


def test_scratch_frozen_and_fine_tuned_are_three_questions(tmp_path) -> None:
    parts = [
        started(adapt="", init_from="", start_fingerprint="", pretrain_data=""),
        started(),
        started(adapt="full"),
    ]
    both = pd.concat(parts, ignore_index=True)
    found = read(tmp_path, both)
    assert {(k["init"], k["adapt"]) for k, _ in found.parts()} == {
        ("scratch", None), ("pretrained", "probe"), ("pretrained", "full")
    }  # fmt: skip
    assert all(len(rows) == 36 for _, rows in found.parts())
    assert [k["adapt"] for k, _ in read(tmp_path, both, "filters.adapt=probe").parts()] == ["probe"]
    assert [k["init"] for k, _ in read(tmp_path, both, "filters.init=scratch").parts()] == ["scratch"]
    with pytest.raises(ValueError, match="init, adapt vary"):
        find_crossover(both)


def test_a_filter_of_starts_keeps_the_runs_from_scratch_beside_them(tmp_path) -> None:
    """One of two pre-training sizes is chosen; fresh models have none, and are left out by `filters.init=` alone."""
    scratch = started(adapt=None, init_from=None, start_fingerprint=None, pretrain_data=None, pretrain_size=None)
    table = pd.concat([scratch, *(started(pretrain_size=n, start_fingerprint=f"f{n}") for n in (500, 4000))])
    found = read(tmp_path, table, "filters.pretrain_size=4000")
    assert {key["init"]: len(rows) for key, rows in found.parts()} == {"scratch": 36, "pretrained": 36}
    assert set(found.table["start_fingerprint"].dropna()) == {"f4000"}
    assert len(read(tmp_path, table, "filters.pretrain_size=4000", "filters.init=pretrained").table) == 36
    with pytest.raises(InputError, match="leaves no rows"):
        read(tmp_path, table, "filters.pretrain_size=77")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("regime", {"fullft": "full", "linprobe": "probe"}),
        ("freeze", {"finetune": "full", "frozen": "probe"}),
        ("Mode", {"Fine-tuning": "full", "Linear probe": "probe", "From scratch": None}),
        ("freeze_backbone", {"True": "probe", "False": "full"}),
    ],
)
def test_other_programs_words_for_it(tmp_path, column: str, words: dict[str, str | None]) -> None:
    plain = started().drop(columns=["adapt", "init_from", "start_fingerprint"])
    found = read(tmp_path, pd.concat([plain.assign(**{column: w}) for w in words], ignore_index=True))
    assert {k["adapt"] for k, _ in found.parts()} == set(words.values())
    assert {k["init"] for k, _ in found.parts()} == {"pretrained" if v else "scratch" for v in words.values()}
    assert any(f"adapt is {column}" in note for note in found.notes)


def test_two_starts_under_one_name_are_refused() -> None:
    for columns in (
        {
            "init_from": lambda r: f"timm:{r['model']}.a{1 + r['seed'] % 2}",
            "start_fingerprint": lambda r: r["seed"] % 2,
        },
        {"init_from": lambda r: f"weights/{'ab'[r['seed'] % 2]}.pt", "start_fingerprint": lambda r: r["seed"] % 2},
        {"start_fingerprint": lambda r: f"{r['family']}{r['train_size'] > 400}"},
        {"pretrain_data": lambda r: "imagenet-1k" if r["seed"] else "imagenet-21k"},
    ):
        with pytest.raises(InputError, match=r"stands for .*starting points.*filters\."):
            find_crossover(started(**columns))
    one_family = started(init_from=lambda r: f"timm:{r['family']}", start_fingerprint=lambda r: r["family"])
    assert find_crossover(one_family).verdict.verdict == "observed"


def own(row: dict[str, Any], size: int = 4000) -> str:
    return f"runs/source/{row['model']}-half-loc1-n{size}-s{row['seed']}-lr0.00127-0698374{row['seed']}/weights.pt"


def test_starts_of_one_recipe_may_differ_in_their_seed() -> None:
    found = find_crossover(started(init_from=own, start_fingerprint=lambda r: f"{r['family']}{r['seed']}"))
    assert found.verdict.verdict == "observed"


def test_pretraining_sizes_are_an_axis_of_their_own(tmp_path) -> None:
    """Untrained starts are not fitted; every number of training images is a question."""
    parts = []
    for n in (100, 400):
        rows = started("pretrain_size", train_size=n, pretrain_image_size=16)
        rows["init_from"] = [own(r, r["pretrain_size"]) for r in rows.to_dict("records")]
        rows["start_fingerprint"] = rows["init_from"]
        zero = rows[rows["pretrain_size"] == 100].assign(pretrain_size=0, test_error=0.9)
        # As the trainer records it: no run of the source sweep, but its folder.
        parts += [rows, zero.assign(start_fingerprint="untrained-0", init_from="runs/source")]
    parts.append(started("pretrain_size", train_size=100, init_from="", adapt="").assign(pretrain_size=np.nan))
    table = pd.concat(parts, ignore_index=True)
    found = read(tmp_path, table, "axis=pretrain_size")
    assert [k["train_size"] for k, _ in found.parts()] == [100, 400]
    assert any("36 runs without pretrain_size left out" in note for note in found.notes)
    with pytest.raises(InputError, match="axis=pretrain_size compares"):
        read(tmp_path, table[table["pretrain_size"] != 0])
    cross = find_crossover(pd.concat(parts[:2]), axis="pretrain_size")
    assert cross.verdict.verdict == "observed"
    assert 400 < cross.verdict.crossover_size < 900
    assert cross.verdict.fit_range == (100, 3200)
    left = cross.selection.left_out
    assert len(left) == 6
    assert set(left["reason"]) == {"an untrained start: drawn apart"}
    sentence = verdict_sentence(cross)
    assert "100 training images" in sentence
    assert "pre-training images" in sentence


def test_untrained_starts_are_drawn_apart() -> None:
    table = started("pretrain_size", train_size=100)
    zero = table[table["pretrain_size"] == 100].assign(pretrain_size=0, test_error=lambda t: [0.7, 0.8, 0.9] * 2)
    found = find_crossover(pd.concat([table, zero]), axis="pretrain_size")
    assert untrained(found) == pytest.approx({"deit_s": 0.8, "resnet50": 0.8})
    [ax] = draw_curves(found).axes
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines["deit_s, untrained"].get_ydata()) == pytest.approx([0.8, 0.8])
    assert ax.get_xlabel() == "pre-training images"
    assert ax.get_xlim()[0] > 0
    assert len(views(found)) == 1  # one number of training images is no axis
    assert untrained(find_crossover(started())) == {}


@pytest.mark.parametrize(
    ("name", "metric", "adapts"),
    [("caltech256-transfer.csv", "test_top1", {"full", "probe"}), ("endoscopy-mes-transfer.csv", "auroc", {"full"})],
)
def test_public_tables_say_what_was_fitted(shared_data: Path, name: str, metric: str, adapts: set[str]) -> None:
    """`regime` of the one holds fullft and linprobe, `freeze` of the other finetune throughout."""
    path = shared_data / "tables" / name
    if not path.exists():
        pytest.skip("the public tables are not here")
    found = read_results(parse_table({"results": str(path), "metric": metric}))
    assert {key["adapt"] for key, _ in found.parts()} == adapts
    assert {key["init"] for key, _ in found.parts()} == {"pretrained"}
    assert len(found.parts()) == len(adapts)


def test_the_halves_page_says_what_their_table_and_bits_say() -> None:
    """Means of the frozen runs in the README, and each run's own bits behind its error."""
    folder = Path(__file__).resolve().parents[1] / "results" / "transfer-cifar10" / "halves"
    table = pd.read_csv(folder / "results.csv")
    probes = table[table["adapt"] == "probe"]
    means = probes.groupby(["model", "pretrain_size", "train_size"])["test_error"].mean()
    names = {"ResNet-8 (CNN)": "resnet8", "ViT 48x3": "vit_w48d3"}
    swept = table[(table["purpose"] == "sweep") & (table["adapt"] != "probe")]
    tuned = swept[swept["adapt"] == "full"].groupby(["model", "train_size", "pretrain_size"])["test_error"].mean()
    # 125 images ran at two rates, of which validation chose one: the report's table holds those means.
    whole = swept[(swept["train_size"] > 125) & ((swept["pretrain_size"] == 16000) | swept["adapt"].isna())]
    modes = whole.fillna({"adapt": "scratch"}).groupby(["model", "adapt", "train_size"])["test_error"].mean()
    rows = 0
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        name, source, *cells = [*(part.strip() for part in line.strip("|").split("|")), ""]
        model, _, n = name.partition(", n = ")
        if model not in names:
            continue
        if n:  # fine-tunes by images of the source
            said, wanted = [source, *cells[:-1]], tuned[names[model], int(n.replace(",", ""))]
        elif source in ("scratch", "frozen", "fine-tuned"):
            said = cells[1:-1]
            wanted = (
                means[names[model], 16000].loc[250:]
                if source == "frozen"
                else modes[names[model], {"scratch": "scratch", "fine-tuned": "full"}[source]]
            )
        else:
            said = cells[:-1]
            wanted = means[names[model], 0 if source == "untrained" else int(source.replace(",", ""))]
        assert [float(cell) for cell in said] == pytest.approx(wanted.tolist(), abs=6e-4), line
        rows += 1
    assert rows == 24
    with np.load(folder / "wrong.npz") as bits:
        for row in probes.to_dict("records"):
            count = int(bits[f"{row['config_hash']}/test_count"])
            wrong = np.unpackbits(bits[f"{row['config_hash']}/test"], count=count)
            assert wrong.mean() == pytest.approx(row["test_error"])
    assert (probes["pretrain_leaks"].dropna() == 0).all()


def test_cells_and_subsets_are_checked_on_the_axis_of_sources_as_well() -> None:
    table = started("pretrain_size", train_size=100).reset_index(drop=True)
    table = table.assign(subset_seed=table["seed"], name=[f"run {i}" for i in range(len(table))])

    def statuses(rows: pd.DataFrame) -> dict[str, str]:
        return {c.code: c.status for c in find_crossover(rows, axis="pretrain_size").checks}

    whole = statuses(table)
    assert (whole["cells_complete"], whole["subsets_nested"]) == ("passed", "passed")
    crashed = table.assign(status="finished", config_hash=[f"{i:016x}" for i in range(len(table))])
    assert statuses(crashed.drop(index=3))["cells_complete"] == "failed"
    apart = table.assign(subset_seed=table["seed"] + 10 * (table["pretrain_size"] == 100))
    assert statuses(apart)["subsets_nested"] == "failed"
