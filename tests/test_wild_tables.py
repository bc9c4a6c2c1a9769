"""Tables as papers, trackers and spreadsheets have them: each is read right, or refused in one line with the way out.

Truth of `base` (tests/test_any_table.py): CNN .04 + 2.2 n^-.30, ViT .02 + 10 n^-.48, three seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from test_any_table import NAMES, SIZES, answers, base, is_base, reading

from analysis.arguments import InputError
from analysis.estimator.crossover.wording import reason
from analysis.estimator.rows.names import family_of
from analysis.estimator.rows.numbers import parse_number
from analysis.report.command import main as report_main

PERCENT = ("metric=top1", "range=0..100")


def plain() -> pd.DataFrame:
    return base().drop(columns="family")


def cells(form: str) -> list[list[str]]:
    """Model names, and per size the mean accuracy in percent and its standard deviation, in some form."""
    rows = base().assign(acc=lambda t: 100 - 100 * t["test_error"]).groupby(["model", "train_size"])["acc"]
    mean, spread = rows.mean().unstack(), rows.std().unstack()
    return [[model, *(form % (mean.loc[model, n], spread.loc[model, n]) for n in SIZES)] for model in mean.index]


def paper_in_markdown() -> str:
    head = ["Method", *(f"{n:,}" for n in SIZES)]
    rows = [[row[0] + "†", *(f"**{c}**" for c in row[1:])] for row in cells("%.2f ± %.2f")]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n† from scratch\n"


def paper_in_latex() -> str:
    head = " & ".join(f"{n:,}".replace(",", "{,}") for n in SIZES)
    rows = [" & ".join(row) + r" \\" for row in cells(r"\textbf{%.2f}$_{\pm %.2f}$")]
    groups = r" & \multicolumn{6}{c}{Images} \\ \cmidrule(lr){2-7}"
    lines = [
        r"\begin{table}[t] \caption{Top-1 accuracy (\%).}", r"\begin{tabular}{@{}lcccccc@{}}", r"\toprule", groups,
        f"Model & {head} " + r"\\ \midrule % sizes", *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines)


def runs_in_latex() -> str:
    rows = plain().replace("vit_s", "vit\\_s").astype(str).agg(" & ".join, axis=1) + r" \\"
    return "\\begin{tabular}{lrrr}\n\\hline\nModel & Images & Seed & Error \\\\ \\hline\n" + "\n".join(rows)


def boxed(edge: str) -> str:
    rule = "+" + "----------+" * 4
    lines = [rule, f"{edge} model {edge} train_size {edge} seed {edge} test_error {edge}", rule.replace("-", "=")]
    lines += [f"{edge} {edge.join(map(str, row))} {edge}" for row in plain().to_numpy().tolist()]
    return "\n".join([*lines, rule, ""])


def queried() -> str:
    rows = "\n".join(" | ".join(map(str, row)) for row in plain().to_numpy().tolist())
    return f" model | train_size | seed | test_error\n-------+------------+------+-----------\n{rows}\n(36 rows)\n"


def of_wandbs_api(write: Callable[[dict[str, object]], str]) -> str:
    rows = plain().itertuples()
    found = [
        {
            "summary": write({"test_acc": 1 - r.test_error, "_step": 9}),
            "config": write({"model": {"value": r.model, "desc": None}, "n_train": r.train_size, "seed": r.seed}),
            "name": f"fresh-sun-{i}",
        }
        for i, r in enumerate(rows)
    ]
    return pd.DataFrame(found).to_csv()


def by_size(values: Callable[[pd.DataFrame], object]) -> str:
    groups = base().groupby("model")
    return json.dumps({m: {str(n): values(own) for n, own in rows.groupby("train_size")} for m, rows in groups})


def merged() -> str:
    rows = plain().sort_values(["model", "train_size"])
    return rows.assign(model=rows["model"].mask(rows["model"].duplicated())).to_csv(index=False)


def by_model() -> pd.DataFrame:
    return plain().sort_values(["model", "train_size", "seed"], ignore_index=True)


def sizes_as(words: Callable[[int], str]) -> str:
    return plain().assign(train_size=plain()["train_size"].map(words)).to_csv(index=False)


def means() -> pd.DataFrame:
    found = base().groupby(["model", "train_size"])["test_error"].agg(["mean", "std", "min", "max"])
    return found.reset_index()


READ: dict[str, tuple[str, Callable[[], str], tuple[str, ...]]] = {
    "a paper's Markdown": ("t.md", paper_in_markdown, PERCENT),
    "a paper's LaTeX": ("t.tex", paper_in_latex, PERCENT),
    "LaTeX in a text": ("t.txt", paper_in_latex, PERCENT),
    "runs in LaTeX": ("t.tex", runs_in_latex, ("columns.test_error=Error",)),
    "a box": ("t.txt", lambda: boxed("|"), ()),
    "a box of lines": ("t.txt", lambda: boxed("│"), ()),
    "a data base's answer": ("t.txt", queried, ()),
    "an org table": ("t.org", lambda: boxed("|").replace("+", "|", 1), ()),
    "W&B's API": ("t.csv", lambda: of_wandbs_api(json.dumps), ("metric=test_acc",)),
    "W&B's API, printed": ("t.csv", lambda: of_wandbs_api(str), ("metric=test_acc",)),
    "W&B's page": (
        "t.csv",
        lambda: pd.DataFrame(
            {"Name": "x", "State": "finished", "model.name": plain()["model"], "data.n_train": plain()["train_size"],
             "seed": plain()["seed"], "epoch": 90, "test/acc1": 100 - 100 * plain()["test_error"]}
        ).to_csv(index=False),
        ("metric=test/acc1", "range=0..100"),
    ),
    "Optuna's trials": (
        "t.csv",
        lambda: pd.DataFrame(
            {"number": range(36), "value": plain()["test_error"], "params_model": plain()["model"],
             "params_n_train": plain()["train_size"], "params_seed": plain()["seed"], "state": "COMPLETE"}
        ).to_csv(index=False),
        ("columns.test_error=value",),
    ),
    "Ray Tune": (
        "t.csv",
        lambda: plain().rename(columns=lambda c: c if c == "test_error" else f"config/{c}").to_csv(index=False),
        (),
    ),
    "JSON by model and size": ("t.json", lambda: by_size(lambda own: own["test_error"].mean()), ()),
    "JSON of lists": ("t.json", lambda: by_size(lambda own: own["test_error"].tolist()), ()),
    "JSON by size and model": (
        "t.json",
        lambda: json.dumps(
            {str(n): rows.groupby("model")["test_error"].mean().to_dict() for n, rows in base().groupby("train_size")}
        ),
        (),
    ),
    "merged cells": ("t.csv", merged, ()),
    "files joined with their headers": (
        "t.csv", lambda: plain()[:9].to_csv(index=False) + plain()[9:].to_csv(index=False), (),
    ),
    "units in the header": (
        "t.csv",
        lambda: plain().rename(columns={"train_size": "Training set size (images)"}).to_csv(index=False),
        (),
    ),
    "means and deviations": (
        "t.csv",
        lambda: means().assign(acc_mean=1 - means()["mean"], acc_std=means()["std"]).to_csv(index=False),
        ("metric=acc_mean",),
    ),
    "intervals in brackets": (
        "t.csv",
        lambda: means().assign(
            test_error=[f"{r.mean:.4f} [{r.min:.4f}, {r.max:.4f}]" for r in means().rename(columns=str).itertuples()]
        )[["model", "train_size", "test_error"]].to_csv(index=False),
        (),
    ),
    "a metric and a size a column": (
        "t.csv",
        lambda: means().pivot(index="model", columns="train_size", values="mean").add_prefix("err@").to_csv(),
        ("metric=err",),
    ),
    "percent of the data": ("t.csv", lambda: sizes_as(lambda n: f"{n / 160:g}%"), ("total_images=16000",)),
    "percent and full": (
        "t.csv", lambda: sizes_as(lambda n: "full" if n == 16000 else f"{n / 160:g}%"), ("total_images=16000",),
    ),
    "numbers and full": (
        "t.csv", lambda: sizes_as(lambda n: "Full" if n == 16000 else str(n)), ("total_images=16000",),
    ),
    "powers of ten": ("t.csv", lambda: sizes_as(lambda n: f"{n / 1000:g}\N{MULTIPLICATION SIGN}10^3"), ()),
    "numbers with a word": ("t.csv", lambda: sizes_as(lambda n: f"{n / 1000:g}K images"), ()),
    "apostrophes between thousands": ("t.csv", lambda: sizes_as(lambda n: f"{n:,}".replace(",", "\u2019")), ()),
    "sizes that were merged, too": (
        "t.csv",
        lambda: by_model().assign(
            model=by_model()["model"].mask(by_model()["model"].duplicated()),
            train_size=by_model()["train_size"].mask(by_model()[["model", "train_size"]].duplicated()),
        ).to_csv(index=False),
        (),
    ),
    "a row of deviations below each of means": (
        "t.csv",
        lambda: pd.concat(
            [means().assign(stat=stat).pivot(index=["model", "stat"], columns="train_size", values=stat)
             for stat in ("mean", "std")]
        ).to_csv(),
        (),
    ),
    "an epoch a row": (
        "t.csv",
        lambda: pd.concat(
            [plain().assign(epoch=e, test_error=plain()["test_error"] * (2 - e)) for e in (0, 1)]
        ).query("test_error < 1").to_csv(index=False),
        (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", READ)
def test_a_table_of_the_wild_is_read_right(tmp_path: Path, form: str) -> None:
    name, make, words = READ[form]
    (tmp_path / name).write_text(make())
    found = reading(tmp_path / name, *words)
    is_base(found)
    assert len(found.parts()) == 1


def test_ways_to_pool_are_no_rows_of_means(tmp_path: Path) -> None:
    both = pd.concat(
        [plain().assign(pool=pool, test_error=plain()["test_error"] * f) for pool, f in (("mean", 1), ("max", 1.1))]
    )
    both.to_csv(tmp_path / "t.csv", index=False)
    assert len(reading(tmp_path / "t.csv").parts()) == 2


def test_intervals_that_are_not_used_are_said(tmp_path: Path) -> None:
    _, make, words = READ["intervals in brackets"]
    (tmp_path / "t.csv").write_text(make())
    assert any(
        "intervals in brackets behind test_error are not used" in n for n in reading(tmp_path / "t.csv", *words).notes
    )


def test_merged_cells_of_a_sheet(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Our results"], [None, "Accuracy (%)"], ["Model", *SIZES], *cells("%.2f%.0s")):
        sheet.append(row)
    sheet.merge_cells("B2:G2")
    book.save(tmp_path / "t.xlsx")
    is_base(reading(tmp_path / "t.xlsx", *PERCENT))


def test_a_spread_beside_means_is_the_noise(tmp_path: Path) -> None:
    table = means().assign(acc_mean=1 - means()["mean"], acc_std=0.03 * means()["mean"])
    table.to_csv(tmp_path / "t.csv", index=False)
    [found] = answers(tmp_path / "t.csv", "metric=acc_mean")
    assert found.families.curves[NAMES["vit"]].points.tau == pytest.approx(0.03, rel=0.1)


LOG = r"the log of one run.*without (model and size|train_size): write a table with a row per run"
REFUSED: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "TensorBoard's page": ("run-vit-tag-test.csv", "Wall time,Step,Value\n1.7e9,0,.9\n1.7e9,9,.5\n", (), LOG),
    "TensorBoard's tools": ("t.csv", "run,tag,step,value,wall_time\nvit-s0,test/error,9,.5,1.7e9\n", (), LOG),
    "Lightning": ("metrics.csv", "epoch,step,train_loss,val_acc\n0,9,1.2,\n0,9,,.5\n", ("metric=val_acc",), LOG),
    "Keras": ("history.json", '{"loss": [1, 0.5], "val_accuracy": [0.4, 0.5]}', ("metric=val_accuracy",), LOG),
    "Trainer": ("trainer_state.json", '{"epoch": 2.0, "log_history": [{"eval_accuracy": 0.5}]}', (), LOG),
    "Trainer's results": ("all_results.json", '{"eval_accuracy": 0.5, "train_samples": 500}', ("metric=eval_accuracy",),
                          r"columns missing: family, model"),
    "full without a total": ("t.csv", sizes_as(lambda n: str(n).replace("16000", "full")), (), r"full: total_images=N"),
    "shots": ("t.csv", plain().rename(columns={"train_size": "shots"}).to_csv(index=False), (), r"times the number of"),
    "a hybrid": ("t.csv", plain().replace("vit_s", "R50+ViT-B/16").to_csv(index=False), (),
                 r"say family\.vit=.*resnet18 is a CNN; none of R50\+ViT-B/16 says which"),
    "a page as a sheet": ("t.xls", "<table><tr><td>1</td></tr></table>", (), r"no Excel file.*\.csv"),
    "a column turned round": ("t.csv", plain().T.to_csv(header=False), (), r"lies on its side.* each run is a row"),
    "two headers of pandas": (
        "t.csv", base().pivot_table(index="train_size", columns=["family", "model"], values="test_error").to_csv(), (),
        r"below the header stands another, or a row of units \(.*\): write one header",
    ),
    "a row of units": (
        "t.csv", base().to_csv(index=False).replace("\n", "\n-,-,images,-,%\n", 1), (), r"a row of units \(images\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_runs_is_refused_with_the_way_out(tmp_path: Path, case: str) -> None:
    name, text, words, message = REFUSED[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        reading(tmp_path / name, *words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("ViT-B/16", "vit"), ("vit_small_patch16_224.augreg", "vit"), ("Swin-T", "vit"), ("DeiT-S", "vit"),
        ("facebook/dinov2-small", "vit"), ("MAE-B", "vit"), ("S/16", "vit"), ("CLIP-ViT-B/32", "vit"),
        ("BEiT-B", "vit"),
        ("google/vit-base-patch16-224-in21k", "vit"), ("swinv2_tiny_window8_256", "vit"), ("ViT-H/14 (IN21k)", "vit"),
        ("R50", "cnn"), ("BiT-M R101x1", "cnn"), ("ConvNeXt-T", "cnn"), ("RN50", "cnn"), ("ResNeXt-101", "cnn"),
        ("microsoft/resnet-50", "cnn"), ("regnety_016", "cnn"), ("CLIP-RN50", "cnn"), ("WRN-28-10", "cnn"),
        ("facebook/convnextv2-tiny-1k-224", "cnn"), ("NFNet-F0", "cnn"), ("VGG-16", "cnn"), ("R50x1", "cnn"),
        ("R50+ViT-B/16", None), ("mobilevit_s", None), ("CoAtNet-0", None), ("MLP-Mixer", None), ("PoolFormer", None),
        ("dinov3_convnext_tiny", None), ("B/W images", None), ("main", None),
    ],
)  # fmt: skip
def test_a_models_name_says_its_family_or_nothing(name: str, family: str | None) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2^14", 16384),
        ("10⁴", 10_000),
        ("1.28 \N{MULTIPLICATION SIGN} 10^6", 1_280_000),
        ("10^{5}", 100_000),
        ("63.4 [61.0, 65.1]", 63.4),
    ],
)
def test_powers_and_intervals(text: str, number: float) -> None:
    assert parse_number(text) == (pytest.approx(number), None, False)


def test_a_validation_loss_chooses_where_there_is_nothing_else(tmp_path: Path) -> None:
    good, bad = base().assign(lr=1e-3, val_loss=1.2), base().assign(lr=1e-2, val_loss=2.4)
    bad["test_error"] *= 1.3
    pd.concat([good, bad]).to_csv(tmp_path / "t.csv", index=False)
    [found] = answers(tmp_path / "t.csv")
    assert {c.lr for c in found.selection.choices} == {1e-3}
    [edge] = [c for c in found.checks if c.code == "learning_rate_edge"]
    assert edge.status == "failed"
    assert "of two rates one is always the edge: try a third beyond the best" in edge.message


def test_a_family_without_a_curve_is_named_with_what_would_give_it_one(tmp_path: Path) -> None:
    table = base()
    few = table[(table["family"] == "cnn") | table["train_size"].isin(SIZES[:2])]
    few.to_csv(tmp_path / "t.csv", index=False)
    [found] = answers(tmp_path / "t.csv", "audit=off")
    text = reason(found)
    assert "no ViT has 3 sizes, vit_s has 2" in text
    assert "CNN" not in text
    assert "columns.model=" in text


OURS = {"config_hash": "", "purpose": "sweep", "test_examples": 10_000}


def _sweep(name: str, factor: float, sizes: tuple[int, ...] = SIZES, **more: object) -> pd.DataFrame:
    rows = base()[lambda t: t["train_size"].isin(sizes)].assign(**OURS, sweep=name, **more)
    rows["config_hash"] = [f"{name}{i:04x}" for i in range(len(rows))]
    return rows.assign(test_error=rows["test_error"] * factor)


def test_two_sweeps_are_two_questions_with_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"model=vit_s data.augment={a}" for a in ("flip", "none")]
    _sweep("a", 1, precision="fp32", overrides=words[0]).to_csv(tmp_path / "a.csv", index=False)
    _sweep("b", 1.2, precision="bf16", overrides=words[1]).iloc[1:].to_csv(tmp_path / "b.csv", index=False)
    arguments = [f"results=[{tmp_path}/a.csv,{tmp_path}/b.csv]", f"out={tmp_path}/out", "figures=none"]
    assert report_main(arguments) == 0
    groups = json.loads((tmp_path / "out" / "crossover.json").read_text())["groups"]
    assert [g["key"]["sweep"] for g in groups] == ["a", "b"]
    page = (tmp_path / "out" / "report.md").read_text()
    for row in ("| precision | fp32 | bf16 |", "| data.augment | flip | none |", "| runs fitted | 36 | 35 |"):
        assert row in page
    assert "| sizes |" not in page  # the same in both
    assert "What differs between the questions" in (tmp_path / "out" / "report.html").read_text()
    assert "sweep differs between runs of one model and size: 2 questions" in capsys.readouterr().err


def test_a_sweep_that_goes_on_where_another_stopped_is_one_question(tmp_path: Path) -> None:
    _sweep("a", 1, SIZES[:3]).to_csv(tmp_path / "a.csv", index=False)
    _sweep("b", 1, SIZES[3:]).to_csv(tmp_path / "b.csv", index=False)
    assert len(reading(f"[{tmp_path}/a.csv,{tmp_path}/b.csv]").parts()) == 1


OBSERVED = (("observed", 2688),)  # verdict and crossing of the laws
HELD_BACK, OPEN = ("held back", None), ("not_identifiable", None)
CASES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, float | None], ...]]] = {  # words, and what each question is
    "base.csv": ((), OBSERVED),
    "base2.csv": ((), (OPEN,)),  # leaned to near 26,000, where its laws cross; nothing does inside the data
    "acc01.csv": (("metric=acc",), OBSERVED),
    "accpct.csv": (("metric=acc", "range=0..100"), OBSERVED),
    "accpctsign.csv": (("metric=acc",), OBSERVED),
    "data_paths.csv": ((), OBSERVED),
    "disjoint.csv": ((), (OPEN,)),  # the ViT only above the CNN's sizes: no crossing inside
    "famcase.csv": ((), OBSERVED),
    "footer.csv": ((), OBSERVED),
    "imgsize_word.csv": ((), OBSERVED),
    "lr_const.csv": ((), OBSERVED),
    "lr_valacc.csv": ((), (HELD_BACK,)),  # two rates: one is always the edge
    "mixed_init_from.csv": ((), (HELD_BACK, HELD_BACK)),  # fine-tuned and from scratch
    "mlflow.csv": (("metric=test_acc",), OBSERVED),
    "nk.csv": ((), OBSERVED),
    "probe_real.csv": (("filters.rule=tuned",), (("observed", 172),)),
    "seed_word.csv": ((), OBSERVED),
    "semicolon.csv": ((), OBSERVED),
    "spacecols.csv": ((), OBSERVED),
    "wandb_chart.csv": ((), OBSERVED),
    "wandb_runs.csv": ((), OBSERVED),
    "wide.csv": ((), OBSERVED),
    "zeros_cnn_better_everywhere.csv": ((), (OPEN,)),
}


def _case(shared_data: Path, name: str) -> Path:
    path = shared_data / "cases" / "tables" / name
    if not path.exists():
        pytest.skip("the cases are not here")
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_case_that_was_read_wrongly_is_read_right(shared_data: Path, name: str) -> None:
    words, expected = CASES[name]
    found = answers(_case(shared_data, name), *words)
    assert len(found) == len(expected)
    for answer, (verdict, size) in zip(found, expected, strict=True):
        own = "held back" if answer.failed_checks else answer.verdict.verdict
        assert own == verdict
        assert answer.verdict.crossover_size == (
            size if size is None else pytest.approx(size, rel=0.04 if verdict == "observed" else 0.1)
        )


def test_every_case_has_its_expected_outcome(shared_data: Path) -> None:
    assert {path.name for path in _case(shared_data, "base.csv").parent.iterdir()} == set(CASES)


def test_two_experiments_of_one_name_are_two_questions(shared_data: Path) -> None:
    both = ",".join(str(_case(shared_data, name)) for name in ("base.csv", "base2.csv"))
    first, second = (found.verdict for found in answers(f"[{both}]"))
    assert (first.verdict, second.verdict) == ("observed", "not_identifiable")
    assert second.lean is not None
    assert second.lean.size == pytest.approx(26_000, rel=0.15)  # where its laws cross


def test_a_table_without_enough_sizes_says_what_would_do(shared_data: Path) -> None:
    path = shared_data / "tables" / "timm-imagenet-by-pretraining.csv"
    if not path.exists():
        pytest.skip("the public tables are not here")
    words = ("metric=top1", "range=0..100", "columns.model=arch", "columns.train_size=pretrain_images", "audit=off")
    [found] = answers(path, *words)
    assert "no ViT has 3 sizes" in reason(found)
    assert "columns.model=" in reason(found)
