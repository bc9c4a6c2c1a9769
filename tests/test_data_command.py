"""`python -m scaling.data` says what is there, by the trainer's reader, and trains nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from odd_trees import COUNTS, FEW, pictures, plant

from scaling.config import ConfigError
from scaling.config.data_words import data_config
from scaling.data.command import main
from scaling.data.pixels.open_images import forget


def test_what_is_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    root = plant(tmp_path / "pets", [*pictures("Training", COUNTS), *pictures("Testing", FEW), "cover.png"])
    monkeypatch.chdir(root)
    (root / "runs").mkdir()
    assert main([f"data.root={root}"]) == 0
    told = capsys.readouterr().out
    assert "32 images in 2 classes (cat, dog): training 19 from Training/, validation 5" in told
    assert "1 pictures outside class folders (cover.png)" in told
    assert "images of a class: 16 (cat) to 16 (cat); shorter side 8 pixels" in told
    assert len(told.splitlines()[-1].removeprefix("data_fingerprint ")) == 16
    assert list((root / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "data.root= is missing"),
        (["data.root=x", "colour=red"], "'colour=red' is not known"),
        (["data.root=/nowhere/at/all"], "/nowhere/at/all is not there"),
        (["data.root=x", "data=cifar10"], "data=cifar10 is not one of folder, table, parquet, npz"),
        (["data.root=x", "data.val_share=much"], "data.val_share=much is not of the kind that is needed: float"),
    ],
)
def test_bad_words_are_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_damaged_files_are_refused_or_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = plant(tmp_path / "pets", pictures("", COUNTS))
    (root / "cat" / "broken.png").write_bytes(b"x")
    assert main([f"data.root={root}"]) == 2
    assert "1 of 25 images" in capsys.readouterr().err
    forget()
    assert main([f"data.root={root}", "data.skip_unreadable=true"]) == 0
    assert "24 images in 2 classes" in capsys.readouterr().out


def test_words_have_the_types_of_their_settings() -> None:
    words = {"data": "table", "data.root": "'my, file.csv'", "data.val_share": ".1", "data.skip_unreadable": "True"}
    config = data_config(words | {"data.columns.path": "file name", "data.loaders": "null", "data.channels": "1"})
    assert (config.kind, config.root, config.val_share, config.skip_unreadable) == ("table", "my, file.csv", 0.1, True)
    assert (config.columns.path, config.loaders, config.channels) == ("file name", None, 1)
    with pytest.raises(ConfigError, match="true or false"):
        data_config({"data.skip_unreadable": "perhaps"})
