"""Results of several data sets under one name are separate questions, and what is known of them is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.estimator.crossover.wording import title
from analysis.estimator.rows.table import split_questions

SITE_A, SITE_B = "a" * 16, "b" * 16


def rows(fingerprint: str, count: int = 4, **values: object) -> pd.DataFrame:
    same = dict(data="photos", locality=1.0, image_size=32, num_classes=2, status="finished", config_hash="x")
    return pd.DataFrame([same | dict(seed=i, data_fingerprint=fingerprint) | values for i in range(count)])


def keys(*tables: pd.DataFrame) -> list[tuple[str | None, int]]:
    parts = split_questions(pd.concat(tables, ignore_index=True))
    return [(key.get("data_fingerprint", "no key"), len(part)) for key, part in parts]


def test_one_fingerprint_is_no_part_of_the_key() -> None:
    assert keys(rows(SITE_A)) == [("no key", 4)]
    assert keys(rows("")) == [("no key", 4)]
    assert keys(rows(SITE_A), rows("")) == [("no key", 8)]
    assert keys(rows(SITE_A).drop(columns="data_fingerprint")) == [("no key", 4)]


def test_several_fingerprints_are_several_questions() -> None:
    assert keys(rows(SITE_A), rows(SITE_B, 3)) == [(SITE_A, 4), (SITE_B, 3)]
    assert sorted(keys(rows(SITE_A), rows(SITE_B), rows("", 2)), key=str) == [(SITE_A, 4), (SITE_B, 4), (None, 2)]
    other = rows(SITE_B, data="scans")
    assert keys(rows(SITE_A), other) == [("no key", 4), ("no key", 4)]


def test_a_run_that_failed_before_it_read_images_is_no_question() -> None:
    failed = rows("", 2, status="failed")
    assert keys(rows(SITE_A), rows(SITE_B, 3), failed) == [(SITE_A, 6), (SITE_B, 3)]


def messages(*tables: pd.DataFrame) -> list[str]:
    parts = split_questions(pd.concat(tables, ignore_index=True))
    return [note["message"] for _, part in parts for note in part.attrs["notes"]]


def test_what_is_not_known_is_a_warning() -> None:
    assert messages(rows(SITE_A)) == []
    assert ["do not tell which pictures" in text for text in messages(rows(SITE_A), rows("", 1))] == [True]
    assert messages(rows("").drop(columns=["config_hash", "data_fingerprint"])) == []  # a foreign table


def test_how_two_data_sets_differ_is_said(tmp_path: Path) -> None:
    images = {f"cat/{i}.png": f"{i:08x}" for i in range(5)}
    for fingerprint, changed in ((SITE_A, images), (SITE_B, images | {"cat/0.png": "ffffffff", "dog/1.png": "1"})):
        about = dict(sizes={"train": len(changed)}, classes=["cat", "dog"], images=changed, left_out=["2 pictures"])
        (tmp_path / f"data_{fingerprint}.json").write_text(json.dumps(about))
    place = str(tmp_path / "cell" / "record.json")
    first, second = messages(rows(SITE_A, provenance=place), rows(SITE_B, provenance=place))
    assert "2 data sets are called photos" in first
    assert "here aaaaaaaa (5 images, 2 classes)" in first
    assert first.endswith("besides bbbbbbbb (6 images, 2 classes), 0 images less, 1 more and 1 changed")
    assert second.endswith("besides aaaaaaaa (5 images, 2 classes), 1 images less, 0 more and 1 changed")
    (left,) = messages(rows(SITE_A, provenance=place, files_left_out=2))
    assert left == "2 files of the data's folder were not used (2 pictures)"


def test_without_the_folder_the_table_says_what_it_can() -> None:
    first, _ = messages(rows(SITE_A, test_examples=48), rows(SITE_B, test_examples=60.0, num_classes=np.float64(2)))
    assert "here aaaaaaaa (2 classes, 48 test images); besides bbbbbbbb (2 classes, 60 test images)" in first


def test_the_title_tells_them_apart() -> None:
    key = {"data": "photos", "locality": 1, "image_size": 32}
    assert title(key | {"data_fingerprint": SITE_A}) == title(key) + ", pictures aaaaaaaa"
    assert title(key | {"data_fingerprint": None}) == title(key) + ", pictures not recorded"


def test_images_that_look_alike_are_a_warning() -> None:
    (told,) = messages(rows(SITE_A, near_leaks=240.0))
    assert "240 test and validation images look like a training image" in told
    assert messages(rows(SITE_A, near_leaks=0)) == messages(rows(SITE_A, near_leaks=None)) == []
