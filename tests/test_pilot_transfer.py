"""The pilot from weights: its plan fits the time, it goes on where it stopped, and its words say what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from synthetic import make_record

from analysis.arguments import InputError
from analysis.pilot import command, transfer, transfer_command
from analysis.pilot.sweep import Sweeps
from analysis.pilot.transfer import StartTimes, parse_starts, plan_transfer, probe_sizes
from analysis.pilot.transfer_run import around
from analysis.pilot.transfer_words import tuned_table
from scaling.compose.paths import CONF
from scaling.records.record import Record, find_records, read_record, write_record
from scaling.records.weights_at_hand import FAIR_PAIRS, pair_at_hand

FAMILIES = {"deit_s": "vit", "resnet50_a1": "cnn"}
BEST_RATE = {"deit_s": 0.025, "resnet50_a1": 0.025}  # of fine-tunes; from scratch both have .1
FROZEN = {"vit": lambda n: 2.0 * n**-0.45, "cnn": lambda n: 1.1 * n**-0.3}  # they cross near 54 images


def record(weights: str, adapt: str, n: int, seed: int, lr: float) -> Record:
    family = FAMILIES[weights]
    noise = np.random.default_rng([n, seed, len(weights)]).normal(0, 0.01)
    error = float(min(0.9, FROZEN[family](n) * np.exp(noise)))
    if adapt == "full":
        error = 0.9 * error * (1 + 0.1 * abs(np.log(lr / BEST_RATE[weights])))
    name = f"{weights}-{adapt}-{n}-{seed}-{lr:g}"
    of_probe = {"strength": 1.0, "strengths": (1e-4, 1e3, 15), "feature_dim": 384} if adapt == "probe" else {}
    return make_record(
        name=name, config_hash=name, family=family, model=weights, adapt=adapt, train_size=n, seed=seed, lr=lr,
        subset_seed=seed, data="x", image_size=224, num_classes=2, init_from=f"timm:{weights}",
        start_fingerprint=weights, pretrain_data="imagenet1k", pretrain_size=1_281_167, pretrain_image_size=224,
        test_error=round(error, 4), val_error=round(error, 4), val_examples=max(1, n // 4), test_examples=400,
        available_images=10_000, overrides=(f"weights={weights}", "model=timm", f"adapt={adapt}"), **of_probe,
    )  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sweeps write their records at once; returns the grids that were asked for."""
    grids: list[str] = []

    def run(self: Sweeps, root: Path, sweep: str, cells: str, overrides: Any) -> None:
        grids.append(cells)
        if "weights:" not in cells:
            raise InputError("no models from scratch in these tests")
        for block in re.findall(r"\{(.*?)\}", cells):
            grid = {key: values.split(",") for key, values in re.findall(r"([\w.]+):\[(.*?)\]", block)}
            for n in grid["data.train_size"]:
                for seed in grid["seed"]:
                    for lr in grid.get("optim.lr", ["0.1"]):
                        found = record(grid["weights"][0], grid["adapt"][0], int(n), int(seed), float(lr))
                        write_record(found, self.out / sweep / found.name)

    monkeypatch.setattr(Sweeps, "run", run)
    return grids


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 100)):
        for label in ("cat", "dog"):
            place = tmp_path / "pets" / split / label
            place.mkdir(parents=True)
            for i in range(count // 2):
                Image.fromarray(rng.integers(255, size=(8, 8, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return tmp_path / "pets"


def test_three_modes_are_named_and_the_same_command_goes_on(folder: Path, tmp_path: Path, asked, capsys) -> None:
    words = [f"data.root={folder}", "time_limit=15m", "weights=[deit_s,resnet50_a1]", f"out={tmp_path / 'out'}"]
    assert command.main(words) == 0
    text = capsys.readouterr().out
    # Fine-tunes err 10% less than probes here, so that the ViT, better from 54 images on, is best fine-tuned.
    assert re.match(r"Fine-tuned at 320 images, too: the fine-tuned ViT is best there \(fine-tuned ViT 0\.1", text)
    assert "Frozen, with today's 320 images: the frozen ViT (deit_s): errors ViT 0.1" in text
    assert "From scratch: not tried here; start=scratch" in text
    assert "extraction (deit_s" in text
    assert "near 5" in text  # the verdict's crossing
    [place] = (tmp_path / "out").glob("pilot_pets-*_15m")
    kept = json.loads((place / "advice.json").read_text())
    assert kept["design"]["image_size"] == 224
    assert len(kept["design"]["sizes"]) == 9
    assert (place / "advice.txt").read_text() == text
    before = len(asked)
    assert command.main(words) == 0
    assert "going on with the plan of the first call" in capsys.readouterr().err
    assert not [grid for grid in asked[before:] if "full" in grid]  # what is recorded is not asked for again


def test_rates_go_on_while_the_best_of_one_family_is_at_an_edge(folder, tmp_path, asked, monkeypatch) -> None:
    """The ViT's best is at 1/256 of the rate from scratch; the CNN, whose best is inside, gets as many trials."""
    monkeypatch.setitem(BEST_RATE, "deit_s", 0.1 / 256)
    words = [f"data.root={folder}", "time_limit=15m", "weights=[deit_s,resnet50_a1]", f"out={tmp_path / 'out'}"]
    assert command.main(words) == 0
    [place] = (tmp_path / "out").glob("pilot_pets-*_15m")
    found = [read_record(path) for path in find_records(place)]
    rates = {
        name: sorted(r.lr for r in found if (r.model, r.adapt, r.train_size) == (name, "full", 320))
        for name in FAMILIES
    }
    assert rates["deit_s"] == pytest.approx([0.1 / 4**k for k in (4, 3, 2, 1, 0)], rel=0.01)
    assert rates["resnet50_a1"] == pytest.approx([0.1 / k for k in (16, 8, 4, 2, 1)], rel=0.01)
    before = len(asked)
    assert command.main(words) == 0
    assert not [grid for grid in asked[before:] if "full" in grid]


def test_weights_that_are_on_this_machine_are_the_default(folder: Path, tmp_path: Path, asked, capsys) -> None:
    words = [f"data.root={folder}", "time_limit=15m", f"out={tmp_path / 'out'}"]
    place = tmp_path / "decoded" / "weights"
    place.mkdir(parents=True)
    (place / "deit_s.safetensors").touch()
    assert pair_at_hand(None) == ()  # one of them is no pair
    (place / "resnet50_a1.pth").touch()
    assert command.main(words) == 0
    told = capsys.readouterr()
    assert "deit_s and resnet50_a1 are on this machine: starting from their weights" in told.err
    assert "Frozen, with today's 320 images: the frozen ViT (deit_s)" in told.out
    assert command.main([*words, "weights=[deit_s,resnet50_a1]"]) == 0
    assert "going on with the plan of the first call" in capsys.readouterr().err  # named or found, they are one pilot
    before = len(asked)
    assert command.main([*words, "start=scratch"]) == 2  # no sweep was trained here
    assert not any("weights" in grid for grid in asked[before:])


def test_weights_in_the_hubs_own_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    for repository in FAIR_PAIRS[1].values():
        assert pair_at_hand(None) == ()
        folder = tmp_path / "hf" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc").mkdir(parents=True)
        (folder / "snapshots" / "abc" / "model.safetensors").touch()
        found = hub.try_to_load_from_cache(repository, "model.safetensors", cache_dir=tmp_path / "hf")
        assert found == str(folder / "snapshots" / "abc" / "model.safetensors")
    assert pair_at_hand(None) == tuple(FAIR_PAIRS[1])


@pytest.mark.slow
def test_a_pilot_from_files_that_timm_wrote(folder: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Names of conf/weights/, their files in the cache, no network: found, probed, fine-tuned, told."""
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    place = tmp_path / "decoded" / "weights"
    place.mkdir(parents=True)
    for name in FAIR_PAIRS[1]:
        model = OmegaConf.load(CONF / "weights" / f"{name}.yaml").model.name
        save_file(timm.create_model(model, pretrained=False).state_dict(), place / f"{name}.safetensors")
    variables = {"HF_HUB_OFFLINE": "1"}
    run = request.getfixturevalue("command")
    done = run("analysis.pilot", f"data.root={folder}", "time_limit=8m", timeout=600, variables=variables)
    assert done.returncode == 0, done.stderr
    assert "deit_ti and resnet18_a1 are on this machine: starting from their weights" in done.stderr
    assert "Frozen, with today's 320 images: " in done.stdout
    assert "Fine-tuned" in done.stdout
    assert "From scratch: not tried here" in done.stdout
    assert "extraction (deit_ti " in done.stdout


def test_pairs_are_those_of_conf_weights() -> None:
    """Both families, the same pre-training data and size, under the names that timm has on the hub."""
    for pair in FAIR_PAIRS:
        files = [OmegaConf.load(CONF / "weights" / f"{name}.yaml") for name in pair]
        assert [file.weights.source for file in files] == [r.replace("timm/", "timm:") for r in pair.values()]
        assert {file.model.family for file in files} == {"vit", "cnn"}
        assert len({(file.weights.data, file.weights.size) for file in files}) == 1


def test_found_weights_that_cannot_be_used_are_left_aside(
    folder: Path, tmp_path: Path, asked, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(transfer, "pair_at_hand", lambda cache: ("deit_s", "resnet50_a1"))

    def refuse(*arguments: Any, **named: Any) -> None:
        raise transfer.Unsuited("weights=deit_s cannot be probed: grey")

    monkeypatch.setattr(transfer_command, "time_starts", refuse)
    words = [f"data.root={folder}", "time_limit=15m", f"out={tmp_path / 'out'}"]
    assert command.main(words) == 2
    told = capsys.readouterr().err
    assert "weights=deit_s cannot be probed: grey; from scratch instead\nmeasuring vit" in told
    assert command.main([*words, "weights=[deit_s,resnet50_a1]"]) == 2
    assert "from scratch instead" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start=pretrained"], "start=pretrained needs weights="),
        (["start=scratch", "weights=[deit_s,resnet50_a1]"], "takes no weights="),
        (["start=halfway"], "neither scratch nor pretrained"),
        (["weights=deit_s"], "two checkpoints or more"),
        (["weights=[runs/none,deit_s]"], r"folder of a finished run that kept its weights"),
    ],
)
def test_words_that_cannot_be_meant_are_refused_before_anything_is_read(words, message, capsys) -> None:
    assert command.main(["data.root=/nowhere", "time_limit=15m", *words]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def test_one_family_alone_is_refused(folder: Path, tmp_path: Path, asked, capsys, monkeypatch) -> None:
    monkeypatch.setitem(FAMILIES, "deit_s", "cnn")
    words = [f"data.root={folder}", "time_limit=15m", "weights=[deit_s,resnet50_a1]", f"out={tmp_path / 'out'}"]
    assert command.main(words) == 2
    assert "needs checkpoints of both families: deit_s is a cnn" in capsys.readouterr().err


def times(seconds: float) -> StartTimes:
    runs = {name: record(name, "probe", 100, 0, 0.1) for name in FAMILIES}
    return StartTimes(96, dict.fromkeys(FAMILIES, seconds), runs, 5.0)


def test_the_plan_takes_the_highest_resolution_that_fits_and_then_fewer_images() -> None:
    starts = parse_starts("[deit_s,resnet50_a1]")
    known: dict[str, Any] = {"available": 2400, "classes": 10, "test": 600}
    # 3,600 images and two models: 7,200 passes, which at 224 pixels cost (224/96)^2 = 5.44 times the seconds at 96.
    quick = plan_transfer(times(0.005), starts, **known, left=600)
    assert (quick.image_size, quick.sizes[-1], len(quick.sizes)) == (224, 2400, 9)
    assert quick.extraction_seconds == pytest.approx(7200 * 0.005 * (224 / 96) ** 2)
    slow = plan_transfer(times(0.03), starts, **known, left=600)  # 240 s may go: 216 at 96 pixels
    assert (slow.image_size, slow.sizes[-1]) == (96, 2400)
    slower = plan_transfer(times(0.2), starts, **known, left=600)
    assert slower.image_size == 64
    assert slower.sizes[-1] < 2400
    with pytest.raises(InputError, match=r"time_limit=\d+m would do"):
        plan_transfer(times(2.0), starts, **known, left=600)


def test_sizes_are_nine_and_start_at_two_images_a_class() -> None:
    assert probe_sizes(2000, 5) == (20, 36, 63, 112, 200, 356, 632, 1125, 2000)
    assert probe_sizes(90, 5) == ()


@pytest.mark.parametrize(
    ("crossing", "sizes"),
    [(330.0, [400, 800, 200, 1600]), (None, [1600, 800, 400]), (110.0, [100, 200, 1600]), (9e9, [1600, 800, 400])],
)
def test_fine_tunes_lie_around_the_crossing(crossing: float | None, sizes: list[int]) -> None:
    assert around([100, 200, 400, 800, 1600], crossing) == sizes


def test_the_best_rate_of_a_fine_tune_is_chosen_on_validation() -> None:
    lucky = make_record(adapt="full", lr=0.1, val_error=0.4, test_error=0.1, name="a", init_from="w")
    chosen = make_record(adapt="full", lr=0.02, val_error=0.3, test_error=0.2, name="b", init_from="w")
    frozen = [make_record(adapt="probe", seed=s, test_error=e, name=f"{s}") for s, e in enumerate((0.3, 0.4))]
    [row] = tuned_table([lucky, chosen, *frozen]).to_dict("records")
    assert (row["tuned"], row["lr"], row["rates"]) == (0.2, 0.02, 2)
    assert row["frozen"] == pytest.approx(0.35)
    assert tuned_table([]).empty
