"""Sets that do not fit on the device: the same images, labels, order and results as a resident set, to the last bit."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data import splits as module
from scaling.data.batches.resident import ResidentImages
from scaling.data.batches.stream import StreamedImages
from scaling.data.errors import DataError
from scaling.data.pixels.open_images import forget
from scaling.data.prepare import prepare
from scaling.data.splits import load_splits
from scaling.records.record import read_record
from scaling.sweep.pool import Pool
from scaling.sweep.run_cells import run_cells

CPU = torch.device("cpu")
CLASSES = ("l'été = 1", 'say "no", dog', "кошка と 猫")
COUNTS = {"train": dict.fromkeys(CLASSES, 30), "test": dict.fromkeys(CLASSES, 4)}
PLACE = "my pics, all = 'best'"


def _root(path: Path) -> str:
    """Quoted for Hydra."""
    return "data.root='{}'".format(str(path).replace("'", "\\'"))


@pytest.fixture
def words(image_folder: Callable) -> tuple[str, ...]:
    return ("data=folder", _root(image_folder(COUNTS, PLACE)), "data.image_size=8", "data.train_size=50")


@pytest.mark.parametrize("loaders", [0, 2])
@pytest.mark.parametrize("cached", [True, False])
def test_batches_are_those_of_a_resident_set(
    make_cell: Callable, words: tuple, tmp_path: Path, loaders: int, cached: bool
) -> None:
    """From the cache, and decoded from the files where the cache would become too large."""
    resident = load_splits(make_cell(*words).data, CPU)
    more = (f"data.loaders={loaders}", "data.stream=true")
    if not cached:
        more += ("data.cache_gb=0", f"data.cache={tmp_path / 'small'}")
    streamed = load_splits(make_cell(*words, *more).data, CPU)
    assert isinstance(resident.train, ResidentImages)
    assert isinstance(streamed.train, StreamedImages)
    assert (streamed.train.decoded.images is not None) == cached
    indices = [torch.randint(50, (7,), generator=torch.Generator().manual_seed(i)) for i in range(9)]
    for (a, b), (c, d) in zip(resident.train.batches(indices), streamed.train.batches(indices), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    for a, c in zip(resident.test.in_order(5), streamed.test.in_order(5), strict=True):
        assert torch.equal(a[0], c[0])
    assert torch.equal(resident.mean, streamed.mean)
    assert torch.equal(resident.std, streamed.std)


def test_streaming_does_not_touch_the_numbers_that_dropout_uses(make_cell: Callable, words: tuple) -> None:
    streamed = load_splits(make_cell(*words, "data.stream=true", "data.loaders=1").data, CPU)
    state = torch.get_rng_state()
    list(streamed.test.in_order(5))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_that_streams_has_the_record_of_one_that_does_not(
    make_cell: Callable, words: tuple, tmp_path: Path, pool: Pool
) -> None:
    """Through workers, as a user would; the same identity, and every metric equal to the last bit."""
    streams = ("data.stream=true", "data.loaders=1", "data.cache_gb=0", f"data.cache={tmp_path / 'small'}")
    records = []
    for name, more in (("resident", ()), ("streamed", streams)):
        run = ("budget.steps=12", "optim.batch_size=16", "wandb=disabled", f"sweep={name}", f"out={tmp_path / 'runs'}")
        cell = make_cell(*words, *more, *run, "model=vit_w48d3", "model.dropout=0.1")
        assert run_cells([cell], pool=pool, quiet=True).finished == 1
        records.append(read_record(cell.folder / "record.json"))
    a, b = (dataclasses.asdict(record) for record in records)
    for key in (
        "config_hash",
        "train_error",
        "val_error",
        "test_error",
        "test_loss",
        "test_balanced_error",
        "num_params",
        "train_flops",
    ):
        assert a[key] == b[key] is not None


def test_size_decides_unless_told(make_cell: Callable, words: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(*more: str) -> type:
        module._device_pool.cache_clear()
        return type(load_splits(make_cell(*words, *more).data, CPU).train)

    one = 3 * 8 * 8
    monkeypatch.setattr(module, "room", lambda device: 1000 * one)
    assert kind() is ResidentImages
    assert kind("data.stream=true") is StreamedImages
    monkeypatch.setattr(module, "room", lambda device: 80 * one)  # all 102 images do not fit, the run's 50 + 12 + 12 do
    assert kind() is ResidentImages
    monkeypatch.setattr(module, "room", lambda device: 50 * one)
    assert kind() is StreamedImages
    assert kind("data.stream=false") is ResidentImages
    with pytest.raises(ValueError, match="stream=maybe is not one of auto, true, false"):
        make_cell(*words, "data.stream=maybe")


def test_the_part_that_fits_is_the_same_images(
    make_cell: Callable, words: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_splits(make_cell(*words).data, CPU)
    module._device_pool.cache_clear()
    monkeypatch.setattr(module, "room", lambda device: 80 * 3 * 8 * 8)
    part = load_splits(make_cell(*words).data, CPU)
    assert isinstance(part.train, ResidentImages)
    assert len(part.train.pool) == 50
    for a, b in ((whole.train, part.train), (whole.test, part.test)):
        assert torch.equal(next(a.in_order(50))[0], next(b.in_order(50))[0])


def test_a_file_that_goes_away_in_a_run_is_named(make_cell: Callable, words: tuple) -> None:
    data = make_cell(*words, "data.stream=true", "data.loaders=0", "data.cache_gb=0").data
    splits = load_splits(data, CPU)
    (row,) = splits.test.rows[[3]]
    os.unlink(splits.test.decoded.catalogue.paths[row])
    with pytest.raises(DataError, match=r"été = 1/003\.png could be read at the start and no longer: it is not there"):
        list(splits.test.in_order(5))


def test_a_folder_that_changed_after_the_start_is_not_trained_on(make_cell: Callable, words: tuple) -> None:
    cell = make_cell(*words)
    load_splits(cell.data, CPU, fingerprint=cell.fingerprint)
    (Path(str(cell.data.root)) / "train" / CLASSES[1] / "000.png").unlink()
    forget()  # as another process would
    with pytest.raises(DataError, match="have changed since the start"):
        load_splits(cell.data, CPU, fingerprint=cell.fingerprint)


def test_damage_under_way_is_said(make_cell: Callable, words: tuple) -> None:
    splits = load_splits(make_cell(*words, "data.stream=true", "data.loaders=0").data, CPU)
    place = splits.test.decoded.place
    content = bytearray((place / "images.u8").read_bytes())
    content[-1] ^= 1
    (place / "images.u8").write_bytes(content)
    splits.test.decoded._checked.clear()
    with pytest.raises(DataError, match="start the same command again"):
        list(splits.test.in_order(5))


def test_unreadable_files_are_refused_or_left_out(make_cell: Callable, image_folder: Callable) -> None:
    root = image_folder(COUNTS, PLACE)
    (root / "train" / CLASSES[2] / "000.png").write_bytes(b"")
    broken = root / "train" / CLASSES[0] / "it's, = 1.png"
    broken.write_bytes((root / "train" / CLASSES[0] / "001.png").read_bytes()[:60])
    words = ("data=folder", _root(root), "data.image_size=8", "data.train_size=40")
    with pytest.raises(DataError, match=r"2 of 103 images .*it's, = 1\.png .*猫/000\.png \(an empty file\)") as said:
        prepare([make_cell(*words).data])
    assert "data.skip_unreadable=true" in str(said.value)
    forget()
    data = make_cell(*words, "data.skip_unreadable=true").data
    note, found = prepare([data])
    assert "2 of 103 images" in note
    assert note.endswith("left out")
    assert "3 classes" in found
    splits = load_splits(data, CPU)
    assert len(splits.train) == 40
    assert next(splits.train.in_order(40))[0].amax((1, 2, 3)).min() > 0  # what could not be read would be black
    assert data.identity() != make_cell(*words).data.identity()
    assert np.bincount(splits.test.labels).tolist() == [4, 4, 4]
