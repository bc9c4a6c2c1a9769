"""Small archives in the formats that torchvision's data sets come in."""

import gzip
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def jpeg(level: int, size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_cifar10(root: Path) -> dict[str, np.ndarray]:
    batches = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    pixels = {name: RNG.integers(0, 256, (20, 3072), dtype=np.uint8) for name in batches}
    folder = "cifar-10-batches-py"
    members = {
        f"{folder}/{name}": pickle.dumps({"data": data, "labels": [i % 10 for i in range(20)]})
        for name, data in pixels.items()
    }
    members[f"{folder}/batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    write_tar(root / "cifar-10-python.tar.gz", members)
    return {"train": np.concatenate([pixels[name] for name in batches[:5]]), "test": pixels["test_batch"]}


def write_cifar100(root: Path) -> dict[str, np.ndarray]:
    pixels = {"train": RNG.integers(0, 256, (500, 3072), dtype=np.uint8)}
    pixels["test"] = RNG.integers(0, 256, (100, 3072), dtype=np.uint8)
    members = {
        f"cifar-100-python/{split}": pickle.dumps({"data": data, "fine_labels": [i % 100 for i in range(len(data))]})
        for split, data in pixels.items()
    }
    members["cifar-100-python/meta"] = pickle.dumps({"fine_label_names": [f"class {i:02d}" for i in range(100)]})
    write_tar(root / "cifar-100-python.tar.gz", members)
    return pixels


def write_fashion_mnist(root: Path) -> dict[str, np.ndarray]:
    """The idx format: a magic number with type and dimensions, the sizes as big-endian int32, the bytes."""
    pixels = {}
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for split, name, count in (("train", "train", 100), ("test", "t10k", 20)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, magic, array in (("images-idx3", 0x803, images), ("labels-idx1", 0x801, labels)):
            header = np.array([magic, *array.shape], dtype=">i4").tobytes()
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
        pixels[split] = images
    return pixels


def write_svhn(root: Path) -> dict[str, np.ndarray]:
    """MATLAB files of X (32, 32, 3, n) and y (n, 1), in which the digit 0 has the label 10."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    pixels = {}
    for split, count in (("train", 100), ("test", 20)):
        images = RNG.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.array([[i % 10 or 10] for i in range(count)], dtype=np.uint8)
        savemat(root / f"{split}_32x32.mat", {"X": images, "y": labels})
        pixels[split] = images
    return pixels


def write_imagenet(root: Path) -> None:
    """A tar of one tar for each class, a flat tar of validation images, and the devkit that tells their classes."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    wnids = ("n01440764", "n02102040")
    inner = {}
    for label, wnid in enumerate(wnids):
        write_tar(root / "inner.tar", {f"{wnid}_{i}.JPEG": jpeg(60 + 120 * label) for i in range(10)}, "w")
        inner[f"{wnid}.tar"] = (root / "inner.tar").read_bytes()
    (root / "inner.tar").unlink()
    write_tar(root / "ILSVRC2012_img_train.tar", inner, "w")
    truth = [1, 0, 1, 0, 1, 0]
    write_tar(
        root / "ILSVRC2012_img_val.tar",
        {f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(60 + 120 * label) for i, label in enumerate(truth)},
        "w",
    )
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    synsets = np.array([(i + 1, wnid, f"fish {i}, other", "gloss", 0) for i, wnid in enumerate(wnids)], dtype=kinds)
    savemat(root / "meta.mat", {"synsets": synsets})
    write_tar(
        root / "ILSVRC2012_devkit_t12.tar.gz",
        {
            "ILSVRC2012_devkit_t12/data/meta.mat": (root / "meta.mat").read_bytes(),
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "".join(
                f"{label + 1}\n" for label in truth
            ).encode(),
        },
    )
    (root / "meta.mat").unlink()
