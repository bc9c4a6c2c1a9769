"""Which images a run got wrong: written beside its record, carried along by the report, used only where it agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import make_record

from analysis.arguments import InputError, TableArguments
from analysis.estimator.rows.table import load
from analysis.estimator.rows.wrong_files import difference_variance, read_bits
from analysis.report.command import main as report
from scaling.records.record import FILE_NAME, read_record, write_record
from scaling.records.wrong_images import (
    WRONG_FILE,
    WrongImages,
    WrongImagesError,
    pack_all,
    read_wrong_images,
    write_wrong_images,
)
from scaling.sweep.run_cells import run_cells

SMALL = ("data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=50", "budget.steps=14",
         "device=cpu", "wandb=disabled", "workers=1", "model=resnet8")  # fmt: skip


def some(count: int, share: float, seed: int = 0) -> WrongImages:
    rng = np.random.default_rng(seed)
    return WrongImages(rng.random(count) < share, rng.random(11) < share, np.arange(11, dtype=np.int32))


def test_a_finished_run_says_which_images_it_got_wrong(make_cell: Callable, tmp_path: Path) -> None:
    cell = make_cell(*SMALL, f"out={tmp_path}")
    run_cells([cell])
    record = read_record(cell.folder / FILE_NAME)
    with np.load(cell.folder / WRONG_FILE) as file:  # as the contract has it
        assert set(file.files) == {"test", "val", "test_count", "val_count", "val_index"}
        test, val = (np.unpackbits(file[n], count=int(file[f"{n}_count"])) for n in ("test", "val"))
        assert (file["test"].dtype, file["val_index"].dtype) == (np.uint8, np.int32)
        assert file["val_index"].tolist() == list(range(record.val_examples or 0))
    assert (len(test), test.mean()) == (record.test_examples, record.test_error)
    assert (len(val), val.mean()) == (record.val_examples, record.val_error)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    runs = {"a": some(10_000, 0.1), "b": some(13, 0.5, seed=1)}
    write_wrong_images(runs["a"], tmp_path)
    assert (tmp_path / WRONG_FILE).stat().st_size < 3000
    (tmp_path / "all.npz").write_bytes(pack_all(runs))
    for got in (read_wrong_images(tmp_path / WRONG_FILE) | {"b": runs["b"]}, read_wrong_images(tmp_path / "all.npz")):
        for run, expected in zip(got.values(), runs.values(), strict=True):
            np.testing.assert_array_equal(run.test, expected.test)
            np.testing.assert_array_equal(run.val, expected.val)
    assert pack_all(runs) == pack_all(dict(reversed(runs.items())))
    (tmp_path / "torn.npz").write_bytes(pack_all(runs)[:200])
    with pytest.raises(WrongImagesError, match=r"torn\.npz"):
        read_wrong_images(tmp_path / "torn.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve runs with bits, and one without."""
    for i in range(13):
        family, model = (("vit", "v"), ("cnn", "c"))[i % 2]
        bits = some(1000, 0.4 - 0.02 * i, seed=i)
        record = make_record(
            name=f"r{i}", config_hash=f"h{i}", family=family, model=model, train_size=100 << i // 2,
            test_error=float(bits.test.mean()), test_examples=1000,
            val_error=float(bits.val.mean()), val_examples=11, patch_size=None,
        )  # fmt: skip
        write_record(record, tmp_path / "runs" / record.name)
        if i < 12:
            write_wrong_images(bits, tmp_path / "runs" / record.name)
    return tmp_path / "runs"


def test_the_report_keeps_the_bits_beside_its_table(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert report([f"results={folder}", f"out={out}", "figures=none"]) == 0
    assert "wrong_file" not in pd.read_csv(out / "results.csv").columns
    of_folder, of_file = (load(TableArguments(results=(path,))) for path in (folder, out / "results.csv"))
    one, other = ({t.at[i, "name"]: run for i, run in read_bits(t).items()} for t in (of_folder, of_file))
    assert set(one) == set(other) == {f"r{i}" for i in range(12)}
    assert all((one[name].test == other[name].test).all() for name in one)
    (out / "again").mkdir()
    report([f"results={out / 'results.csv'}", f"out={out / 'again'}", "figures=none"])
    assert (out / "again" / WRONG_FILE).read_bytes() == (out / WRONG_FILE).read_bytes()
    assert len(load(TableArguments(results=(folder, out / "results.csv")))) == 13  # rows given twice count once


def test_bits_that_do_not_agree_with_the_row_are_not_used(folder: Path) -> None:
    table = load(TableArguments(results=(folder,)))
    assert len(read_bits(table)) == 12
    assert read_bits(table.assign(test_error=table["test_error"] + 0.01)) == {}
    (folder / "r3" / WRONG_FILE).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"r3.*remove it"):
        read_bits(table)


def test_rates_are_compared_image_by_image_on_validation(tmp_path: Path) -> None:
    """Four images of 200 that only the slower rate gets wrong are no luck; as many among scattered ones may be."""
    rng = np.random.default_rng(0)
    wrong = rng.random(200) < 0.3
    fewer = wrong.copy()
    fewer[np.flatnonzero(wrong)[:4]] = False
    for kind, second in (("alike", fewer), ("scattered", rng.permutation(fewer))):
        for lr, seed, val in ((0.1, 0, wrong), (0.1, 1, wrong), (0.2, 0, second)):
            record = make_record(
                name=f"{lr}-{seed}", config_hash=f"{kind}-{lr}-{seed}", lr=lr, seed=seed,
                test_error=float(wrong.mean()), test_examples=200, val_error=float(val.mean()), val_examples=200,
            )  # fmt: skip
            write_record(record, tmp_path / kind / record.name)
            bits = WrongImages(wrong, val, np.arange(200, dtype=np.int32))
            write_wrong_images(bits, tmp_path / kind / record.name)
    alike, scattered = (
        difference_variance(load(TableArguments(results=(tmp_path / kind,))), "lr", (0.2, 0.1))
        for kind in ("alike", "scattered")
    )
    assert alike == pytest.approx(np.var([-1.0] * 4 + [0.0] * 196, ddof=1) / 200)
    assert scattered is not None
    assert scattered > 15 * alike
    assert difference_variance(load(TableArguments(results=(tmp_path / "alike",))), "lr", (0.3, 0.1)) is None
