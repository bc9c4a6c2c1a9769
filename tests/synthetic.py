"""Records of runs that never ran, for the tests of the analysis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scaling.records.record import Record, write_record

SIZES = (128, 256, 512, 1024, 2048, 4096)


def make_record(**changes: Any) -> Record:
    values: dict[str, Any] = dict(
        name="a",
        sweep="s",
        config_hash="h",
        overrides=("model=resnet8", "data.root=/a b"),
        family="cnn",
        model="resnet8",
        width=16,
        depth=8,
        patch_size=None,
        num_params=78_000,
        data="strokes",
        locality=1.0,
        image_size=16,
        num_classes=10,
        train_size=128,
        subset_seed=0,
        seed=0,
        lr=0.01,
        steps=200,
        seen_examples=25_600,
        train_flops=1e9,
        train_error=0.0,
        val_error=0.3,
        val_examples=40,
        test_error=0.31,
        test_loss=1.0,
        test_examples=2000,
        train_seconds=2.0,
        images_per_second=12_800.0,
        device="cpu",
        precision="fp32",
        threads=1,
        torch_version="2.9.0",
        git_commit=None,
        status="finished",
    )
    return Record(**values | changes)


def make_sweep(*, locality: float = 0.0, seeds: int = 2) -> list[Record]:
    """A sweep that passes the audit: two models, six sizes, a grid of five learning rates at two of the sizes.

    At locality 0 the curves cross near 600 images, at locality 1 the CNN stays ahead.
    """
    rng = np.random.default_rng(7)
    records = []
    for family, model, best in (("vit", "vit_small", 4e-3), ("cnn", "resnet8", 1e-2)):
        for n in SIZES:
            error = 0.02 + 8 * n**-0.55
            if family == "cnn":
                error = 0.05 + 3.2 * n**-0.42 if locality == 0 else 0.5 * error
            cells = [(best, seed) for seed in range(seeds)]
            cells += [(best * f, 0) for f in (0.25, 0.5, 2, 4)] if n in (512, 4096) else []
            for lr, seed in cells:
                harm = 1 + 0.3 * np.log(lr / best) ** 2
                test, val = (min(0.9, error * harm * np.exp(0.03 * rng.standard_normal())) for _ in range(2))
                name = f"{model}-{locality:g}-{n}-{seed}-{lr:g}"
                records.append(
                    make_record(
                        name=name,
                        config_hash=name,
                        family=family,
                        model=model,
                        locality=locality,
                        train_size=n,
                        seed=seed,
                        lr=lr,
                        seen_examples=40 * n,
                        train_error=round(0.05 * test, 4),
                        val_error=val,
                        test_error=round(test, 4),
                    )
                )
    return records


START_SIZES = (100, 200, 400, 800, 1600, 3200)
START_LAWS = {"vit": lambda n: 0.02 + 10 * n**-0.6, "cnn": lambda n: 0.04 + 2.2 * n**-0.36}  # they cross near 600


def started(axis: str = "train_size", **columns: Any) -> pd.DataFrame:
    """Probes of a ViT and a CNN, three chains each; a column's value is one for all, or a function of the row."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for family, model in (("vit", "deit_s"), ("cnn", "resnet50")):
        for n in START_SIZES:
            for seed in range(3):
                error = START_LAWS[family](n) * np.exp(rng.normal(0, 0.01))
                row = {"family": family, "model": model, axis: n, "seed": seed, "test_error": round(error, 4)}
                row |= {"adapt": "probe", "pretrain_data": "imagenet-1k", "start_fingerprint": f"f-{family}"}
                row |= {"data": "pets", "locality": 1.0, "image_size": 224, "init_from": f"timm:{model}.a1"}
                rows.append(row | {k: v(row | {"seed": seed}) if callable(v) else v for k, v in columns.items()})
    return pd.DataFrame(rows)


def as_table(records: list[Record]) -> pd.DataFrame:
    return pd.DataFrame([record.to_dict() for record in records])


def write_sweep(records: list[Record], folder: Path) -> Path:
    for record in records:
        write_record(record, folder / record.name)
    return folder


def inspected_numbers(**changes: Any) -> dict[str, Any]:
    """What `scaling.inspect` would write of a small ViT."""
    score = dict(
        same=0.4, elsewhere=0.1, difference=0.3, null_mean=0.0, null_high=0.1, p_value=0.001, permutations=1000
    )
    numbers: dict[str, Any] = dict(
        name="a", family="vit", model="vit_w8d2", depth=2, data="strokes", locality=1.0, image_size=12, train_size=64,
        seed=0, test_error=0.2, filters_variance=[0.7, 0.3], positions=score,
        attention_distance=[[1.0, 2.0], [3.0, 5.0]], attention_distance_uniform=5.5, attention_images=128,
        rollout_of="cls token",
    )  # fmt: skip
    return numbers | changes


def write_inspected(folder: Path, **changes: Any) -> Path:
    """The files of an inspected run that never ran."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "inspect.json").write_text(json.dumps(inspected_numbers(**changes)))
    places = np.stack(np.divmod(rng.permutation(9), 3), axis=1)
    np.savez(
        folder / "inspect.npz", position_similarity=np.eye(9), filters=rng.normal(size=(16, 1, 4, 4)), places=places,
        rollout=rng.uniform(size=(8, 9)), examples=rng.integers(255, size=(8, 1, 12, 12), dtype=np.uint8),
    )  # fmt: skip
    return folder
