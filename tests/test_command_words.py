"""What a user types: own sweep files anywhere, plain values, and one line for whatever cannot be read."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from scaling import status, train
from scaling.compose.command_words import read_command_line
from scaling.compose.paths import SWEEPS
from scaling.config import ConfigError
from scaling.study.command import cells_of

MINE = """
data: {image_size: 8, permute_patch: 4, test_size: 20}
budget: {steps: 8}
hydra:
  mode: MULTIRUN
  sweeper:
    cells:
      - model: [vit_w48d3, resnet8]
        data.train_size: [20, 40]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another current folder, and what was registered there forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield tmp_path
    ConfigStore.instance().repo.pop("sweeps", None)
    GlobalHydra.instance().clear()


def names(word: str) -> tuple[set[str], int]:
    cells = cells_of([word, "wandb=disabled"])
    return {cell.sweep for cell in cells}, len(cells)


def test_a_sweep_file_by_its_path_is_called_after_it(elsewhere: Path) -> None:
    (elsewhere / "mine.yaml").write_text("sweep: copied_from_elsewhere\n" + MINE)
    assert names("sweeps=./mine.yaml") == ({"mine"}, 4)
    assert names(f"sweeps={elsewhere / 'mine.yaml'}") == ({"mine"}, 4)
    (elsewhere / "home").mkdir()
    shutil.copy("mine.yaml", "home/other.yaml")
    assert names("sweeps=~/other.yaml") == ({"other"}, 4)


def test_a_file_in_the_current_folders_sweeps_goes_by_its_name(elsewhere: Path) -> None:
    (elsewhere / "sweeps").mkdir()
    (elsewhere / "sweeps" / "mine.yaml").write_text(MINE)
    assert names("sweeps=mine") == ({"mine"}, 4)
    (elsewhere / "sweeps" / "mine.yaml").write_text("sweep: named\n" + MINE)
    assert names("sweeps=mine") == ({"named"}, 4)


def test_two_files_of_one_name_are_refused_with_both_paths(elsewhere: Path) -> None:
    (elsewhere / "sweeps").mkdir()
    shutil.copy(SWEEPS / "quickstart.yaml", "sweeps/quickstart.yaml")
    assert names("sweeps=quickstart")[1] == 152  # the same file is no question
    (elsewhere / "sweeps" / "quickstart.yaml").write_text(MINE)
    with pytest.raises(ConfigError) as refused:
        cells_of(["sweeps=quickstart"])
    assert str(SWEEPS / "quickstart.yaml") in str(refused.value)
    assert str(elsewhere / "sweeps" / "quickstart.yaml") in str(refused.value)
    assert names("sweeps=./sweeps/quickstart.yaml") == ({"quickstart"}, 4)


def test_status_takes_the_words_and_flags_of_train(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "more" / "model").mkdir(parents=True)
    (elsewhere / "more" / "model" / "mine.yaml").write_text("defaults: [resnet8]\nname: mine\n")
    (elsewhere / "mine.yaml").write_text(MINE)
    words = ["sweeps=./mine.yaml", "--config-dir", "more", "-m", "model=mine", "seed=0,1", "--cfg", "job"]
    assert status.main([*words, "--list"]) == 0
    out = capsys.readouterr().out
    assert "runs/mine: 4 cells" in out
    assert out.count("missing   mine-strokes") == 4


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("data.train_size=1e3", "data.train_size=1000"),
        ("data.train_size=1e3,2.0e3", "data.train_size=1000,2000"),
        ("optim.lr=1e-3", "optim.lr=1e-3"),
        ("data.root=~/photos", "data.root='HOME/photos'"),
        ("data.root='~/my photos, all'", "data.root='HOME/my photos, all'"),
        ("out=/tmp/~x", "out=/tmp/~x"),
    ],
)
def test_values_are_read_as_they_are_meant(word: str, read: str, elsewhere: Path) -> None:
    if "/~" in word:
        with pytest.raises(ConfigError, match="'/tmp/~x'"):
            read_command_line([word])
    else:
        assert read_command_line(["-m", word]).words == [read.replace("HOME", str(elsewhere / "home"))]


def test_flags_may_stand_between_words() -> None:
    line = read_command_line(["seed=0", "--cfg", "job", "model=resnet8", "-m"])
    assert (line.words, line.multirun) == (["seed=0", "model=resnet8"], True)
    assert sorted(line.flags) == ["--cfg", "--multirun", "job"]


BAD = {
    "seed=[0,1]": "-m seed=0,1",
    "-m model=[resnet8,vit_w48d3]": "-m model=resnet8,vit_w48d3",
    "seed=0,1": "add -m",
    "sweeps=quickstart,strokes": "one command per sweep",
    "sweeps=quickstrat": "nearest is quickstart",
    "sweeps=./none.yaml": "no such file",
    "model=resnet9": "nearest is resnet8",
    "modle=resnet8": "nearest is model",
    "sed=1": "nearest is seed",
    "+sed=1": "nearest is seed",
    "data.train_sise=9": "nearest is data.train_size",
    "data.train_size=1.5": "not a whole number",
    "data.train_size=many": "not a whole number",
    "optim.lr=fast": "optim.lr=fast is not a number",
    "fail_fast=perhaps": "not true or false",
    "trackers=csv": "trackers=[a,b]",
    "quickstart": "sweeps=quickstart is meant",
    "resnet8": "model=resnet8 is meant",
    "=3": "no key",
    "--foo": "--foo",
    "--config-dir /nowhere": "no such folder",
    "--config-path /": "--config-dir",
    "--cfg everything": "job",
    "--resolve": "--cfg",
    "seed = 1": "key=value",
    "data.name=${nothing}": "stands for no setting",
    "data.root=/a(b)/c": "data.root='/a(b)/c'",
    "data.augment=[flip": "not closed",
    "optim=7": "takes a name",
    "budget=5": "group of settings",
    "hydra/launcher=joblibb": "nearest is joblib",
    "data=folder data.root=~nobody_of_this_name/x": "home",
}


@pytest.mark.parametrize("line", BAD)
def test_what_cannot_be_read_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*line.split(" "), "dry_run=true", "wandb=disabled"] if "=" in line else line.split(" ")
    try:
        ended: object = train.main(words)
    except SystemExit as error:  # out of Hydra's job
        ended = error.code
    assert ended == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert BAD[line] in printed.err
    assert not any(word in printed.err for word in ("struct", "Lexer", "full_key", "OmegaConf", "ListConfig"))
