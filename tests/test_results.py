"""Loading: records and foreign tables give the same rows; what cannot be used is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import make_record

from analysis.arguments import InputError, TableArguments, parse_table
from analysis.estimator.rows.table import load, read_results, split_questions, write_csv
from scaling.records.record import COLUMNS, write_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, family in enumerate(("vit", "cnn")):
        for n in (128, 256):
            name = f"{family}-{n}"
            record = make_record(name=name, config_hash=name, family=family, model=family, train_size=n, seed=i)
            write_record(record, tmp_path / "sweep" / name)
    nothing = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss"))
    failed = make_record(name="f", status="failed", error_text="out of memory", **nothing)
    write_record(failed, tmp_path / "sweep" / "failed")
    return tmp_path / "sweep"


def rows_of(path: Path | tuple[Path, ...], **options: Any) -> pd.DataFrame:
    return load(TableArguments(results=path if isinstance(path, tuple) else (path,), **options))


def test_a_folder_of_records(folder: Path) -> None:
    table = rows_of(folder)
    assert len(table) == 5
    assert set(COLUMNS) <= set(table.columns)
    assert sorted(table["status"].unique()) == ["failed", "finished"]
    assert table.loc[table["status"] == "failed", "error_text"].item() == "out of memory"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_tables_hold_the_same_rows(folder: Path, tmp_path: Path, suffix: str) -> None:
    table = rows_of(folder)
    path = tmp_path / f"results, all of them.{suffix}"
    if suffix == "csv":
        write_csv(table, path)
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps(r) for r in json.loads(table.to_json(orient="records"))))
    else:
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    again = rows_of(path)
    for column in ("family", "train_size", "test_error", "seed", "status", "overrides"):
        assert sorted(map(str, again[column])) == sorted(map(str, table[column])), column
    assert again["overrides"].iloc[0] == "model=resnet8 'data.root=/a b'"  # ready for a shell


def test_the_csv_has_the_records_columns_in_its_order(folder: Path, tmp_path: Path) -> None:
    write_csv(rows_of(folder).assign(note="x"), tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text().splitlines()[0] == ",".join([*COLUMNS, "provenance", "init", "note"])


def test_a_run_given_twice_counts_once(folder: Path) -> None:
    assert len(rows_of((folder, folder / "vit-128"))) == 5


def test_equal_rows_without_a_name_are_runs_of_their_own(tmp_path: Path) -> None:
    row = {"family": "vit", "model": "v", "train_size": 100, "test_error": 0.3}
    pd.DataFrame([row, row]).to_csv(tmp_path / "t.csv", index=False)
    assert len(rows_of(tmp_path / "t.csv")) == 2


FOREIGN = pd.DataFrame(
    {
        "Task": ["a", "a", "a", "b"],
        "Model": ["ViT/S/16", "BiT/50/1", "MiX/B/16", "ViT/S/16"],
        "Seen Examples": [1e6, 1e6, 1e6, 1e6],
        "Loss": [0.5, 0.4, 0.45, 0.6],
        "Training": [1, 1, 1, 0],
    }
)
MAPPING: dict[str, Any] = {
    "columns": {"train_size": "Seen Examples", "test_error": "Loss", "model": "Model"},
    "families": {"vit": ("ViT/S/16",), "cnn": ("BiT/50/1",)},
}


def test_foreign_columns_are_mapped_and_filtered(tmp_path: Path) -> None:
    FOREIGN.to_csv(tmp_path / "t.csv", index=False)
    table = rows_of(tmp_path / "t.csv", **MAPPING, filters={"Training": ("1",), "Task": ("A",)})
    assert list(table["model"]) == ["BiT/50/1", "ViT/S/16"]  # no family for the Mixer: left out
    assert list(table["family"]) == ["cnn", "vit"]
    assert list(table["test_error"]) == [0.4, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "columns missing: train_size, test_error; name them by columns.X=Y; there are Task, model"),
        (MAPPING | {"columns": {"train_size": "Seen"}}, r"columns.train_size=Seen: no such column; there are Task"),
        (MAPPING | {"families": {"vit": ("ViT/L/16",)}}, "family.vit: no rows of ViT/L/16; there are BiT/50/1"),
        (MAPPING | {"columns": MAPPING["columns"] | {"model": "Task"}, "families": {}}, "family; say family.vit="),
        (MAPPING | {"filters": {"Tusk": ("a",)}}, "filters.Tusk: no such column"),
        (MAPPING | {"filters": {"Task": ("c",)}}, "filters.Task=c leaves no rows"),
        (MAPPING | {"metric": "top5"}, "columns missing: top5"),
        (MAPPING | {"metric": "speed"}, "metric=speed: whether more or less of it is better is not known"),
    ],
)
def test_bad_mappings(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    FOREIGN.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "t.csv", **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family,model,train_size,test_error\nvit,v,100,1.2\n", r"test_error=1.2 lies outside \[0, 1\]"),
        ("family,model,train_size,test_error\nvit,v,100,-0.1\n", r"test_error=-0.1 lies outside"),
        ("family,model,train_size,test_error\nvit,v,100,\n", "test_error is empty in 1 finished rows"),
        ("family,model,train_size,test_error,status\nvit,v,100,,finished\n", "test_error is empty"),
        ("family,model,train_size,test_error,status\nvit,v,100,.1,perhaps\n", "status must be"),
        ("family,model,train_size,test_error\nvit,v,many,.1\n", "train_size='many' is not a finite number"),
        ("family,model,train_size,test_error\nMixer,v,100,.1\n", "family must be vit or cnn, not Mixer"),
        ("family,model,train_size,test_error,val_error\nvit,v,100,.1,2\n", "val_error=2 lies outside"),
        ("family,model,train_size,test_error\n", "no rows"),
        ("", "cannot be read"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "t.csv")


def test_bad_places(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        rows_of(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no record.json"):
        rows_of(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="neither a folder"):
        rows_of(tmp_path / "notes.txt")
    (folder / "vit-128" / "record.json").write_text('{"name": ')
    with pytest.raises(InputError, match=r"vit-128.record.json: not a record"):
        rows_of(folder)


def test_an_empty_metric_in_rows_that_did_not_finish_is_fine(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "family,model,train_size,test_error,status\nvit,v,100,,diverged\nvit,v,100,.2,finished\n"
    )
    assert len(rows_of(tmp_path / "t.csv")) == 2


def test_questions_are_split_with_the_most_local_first() -> None:
    table = pd.DataFrame({"data": "strokes", "locality": [0.0, 1.0, 0.5, 1.0], "image_size": 16, "num_classes": 10})
    parts = split_questions(table)
    assert [p[0]["locality"] for p in parts] == [1, 0.5, 0]
    assert [len(p[1]) for p in parts] == [2, 1, 1]
    assert list(parts[0][0]) == ["data", "locality", "image_size", "init", "adapt"]
    written = '{"data": "strokes", "locality": 1, "image_size": 16, "init": null, "adapt": null}'
    assert json.dumps(parts[0][0]) == written


def test_absent_columns_make_one_question_with_an_empty_key() -> None:
    [(key, rows)] = split_questions(pd.DataFrame({"model": ["a", "b"]}))
    assert key == dict.fromkeys(("data", "locality", "image_size", "init", "adapt"))
    assert len(rows) == 2


def test_real_curves_load(shared_data: Path) -> None:
    path = shared_data / "curves" / "vision-benchmark.csv"
    table = rows_of(path, **MAPPING, filters={"Training": ("1",), "Task": ("inet_10",)})
    assert table.groupby("family")["train_size"].count().to_dict() == {"cnn": 68, "vit": 65}  # counted with cut | uniq
    assert np.isfinite(table["test_error"]).all()


def test_every_row_knows_where_it_was_read(folder: Path, tmp_path: Path) -> None:
    table = rows_of(folder)
    assert set(table["provenance"]) == {str(path) for path in folder.glob("*/record.json")}
    write_csv(table, tmp_path / "r.csv")
    assert set(rows_of(tmp_path / "r.csv")["provenance"]) == set(table["provenance"])  # a table's own is kept
    FOREIGN.to_csv(tmp_path / "t.csv", index=False)
    assert set(rows_of(tmp_path / "t.csv", **MAPPING)["provenance"]) == {str(tmp_path / "t.csv")}


def test_a_record_and_its_row_from_elsewhere_are_one_run(folder: Path, tmp_path: Path) -> None:
    """Other sources add columns of their own, which do not make it another run."""
    table = rows_of(folder)
    write_csv(table.assign(group="sweep", run_id="x", provenance="wandb:a/b/x"), tmp_path / "r.csv")
    both = rows_of((tmp_path / "r.csv", folder))
    assert len(both) == 5
    assert list(both["provenance"]) == list(rows_of((folder, tmp_path / "r.csv"))["provenance"])


ROW = "family,model,train_size,{0}\nvit,v,100,{1}\ncnn,c,100,{2}\n"


@pytest.mark.parametrize(
    ("told", "values"), [("accuracy", (0.9, 0.75)), ("accuracy_percent", (90, 75)), ("error_percent", (10, 25))]
)
def test_accuracies_and_percentages_when_told(tmp_path: Path, told: str, values: tuple) -> None:
    (tmp_path / "t.csv").write_text(ROW.format("top 1", *values))
    given = {"results": str(tmp_path / "t.csv"), f"columns.{told}": "top 1", "metric": told}
    reading = read_results(parse_table(given))
    table = reading.table.set_index("family")
    assert table[told].to_dict() == pytest.approx({"vit": values[0], "cnn": values[1]})
    assert table[reading.metric.column].to_dict() == pytest.approx({"vit": 0.1, "cnn": 0.25})


def test_accuracies_and_percentages_are_never_guessed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(ROW.format("test_error", 63.4, 82.2))
    with pytest.raises(InputError, match=r"lies outside \[0, 1\]; range=0..100 .*metric=accuracy_percent"):
        rows_of(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(ROW.format("accuracy", 0.6, 0.8))
    with pytest.raises(InputError, match="columns missing: test_error"):
        rows_of(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"columns missing: accuracy_percent; name it by columns\.accuracy_percent=Y"):
        load(parse_table({"results": str(tmp_path / "t.csv"), "metric": "accuracy_percent"}))
    (tmp_path / "t.csv").write_text(ROW.format("accuracy", 63, 80))
    with pytest.raises(InputError, match=r"accuracy=63 lies outside \[0, 1\]"):
        load(parse_table({"results": str(tmp_path / "t.csv"), "metric": "accuracy"}))


def test_wandb_sources_that_name_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wandb-offline:.*no W&B run folders"):
        rows_of(Path(f"wandb-offline:{tmp_path}"))
    with pytest.raises(InputError, match="not of the form wandb:ENTITY/PROJECT"):
        rows_of(Path("wandb:a/b/c"))
