"""Finds our columns under the names that others give them, and a model's family in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PREFIX = re.compile(r"^((params|metrics|config|summary|tags|args|hparams|hp|cfg)[./]|params_)", re.IGNORECASE)
_GROUP = re.compile(r"^(data|dataset|datamodule|train|training)[./]", re.IGNORECASE)  # of settings
_UNIT = re.compile(r"\s*[(\[][^)\]]*[)\]]\s*$")
SYNONYMS: dict[str, tuple[str, ...]] = {
    "model": ("model_name", "arch", "architecture", "backbone", "network", "net", "encoder", "model_arch", "modelname",
              "method", "methods", "models", "networks", "model_id", "model_type", "approach"),
    "family": ("model_family", "arch_family", "architecture_family"),
    "train_size": (
        "n_train", "num_train", "ntrain", "data_train_size", "train_images", "training_images", "num_images",
        "n_images", "train_samples", "num_train_samples", "n_train_samples", "num_samples", "n_samples",
        "train_examples",
        "num_train_images", "n_train_images", "training_size", "trainset_size", "train_set_size", "training_set_size",
        "dataset_size", "data_size", "n", "images", "samples", "size", "num_training_images", "training_samples",
        "training_examples", "data_n", "n_samples_train", "trainsize", "number_of_images", "of_images",
        "number_of_training_images", "subset_size", "n_labeled", "n_labelled", "labeled_images", "labelled_images",
        "num_examples", "n_examples", "examples", "train_n", "n_images_train", "train_count",
    ),
    "seed": ("random_seed", "random_state", "rng_seed", "run_seed", "seed_id", "seeds", "train_seed"),
    "status": ("state", "run_status", "run_state"),
    "lr": ("learning_rate", "learningrate", "base_lr", "optim_lr", "optimizer_lr", "lr0", "max_lr", "peak_lr"),
    "test_examples": ("n_test", "num_test", "ntest", "test_images", "num_test_images", "n_test_images", "test_samples",
                      "num_test_samples", "n_test_samples"),
    "val_examples": ("n_val", "num_val", "nval", "val_images", "num_val_images", "n_val_images", "val_samples"),
    "num_classes": ("n_classes", "nclasses", "classes"),
    "data": ("dataset", "data_set", "dataset_name", "data_name"),
}  # fmt: skip
# Not after a letter: a mobilevit or a maxvit is half a CNN, and whose family it is the user has to say.
_VIT = re.compile(
    r"(?<![a-z])(vit|deit|beit|swin|cait|xcit|eva02|pvt|dinov[23]|mae(?![a-z])|vision[ _-]?transformer|transformer)|"
    r"^(ti|s|b|l|h|g)/(8|14|16|32)(?!\d)",
    re.IGNORECASE,
)
_CNN = re.compile(
    r"cnn|(?<![a-z])(conv[ _-]?net|convnext|(wide|se|pre|small|my)?[ _-]?resne[xs]?t|wrn|bit(?![a-z])|vgg|densenet|"
    r"efficientnet|effnet|mobilenet|regnet|nfnet|inception|xception|alexnet|lenet|squeezenet|shufflenet|mnasnet|"
    r"ghostnet|darknet|res2net|hrnet|dpn|rn?(18|34|50|101|152)(?!\d))",
    re.IGNORECASE,
)


def tokens(name: str) -> str:
    """A column's name in lower case with one kind of gap: `params.Train Size` -> `train_size`."""
    return re.sub(r"[^0-9a-z]+", "_", _PREFIX.sub("", str(name).strip()).lower()).strip("_")


def _readings(name: str) -> tuple[str, ...]:
    """A column's name as it is, without the group of settings before it, and without the unit behind it."""
    own = _PREFIX.sub("", str(name).strip())
    return tuple(dict.fromkeys(tokens(text) for text in (own, _GROUP.sub("", own), _UNIT.sub("", own))))


def column_for(columns: Sequence[str], wanted: str) -> str | None:
    """The column that holds what we call `wanted`; None where there is none, or where several could.

    The name itself first, then the same in another spelling (`Train Size`, `params.train_size`), then synonyms, in the
    order of the list.
    """
    if wanted in columns:
        return wanted
    names = [_readings(c) for c in columns]
    for candidate in (tokens(wanted), *SYNONYMS.get(wanted, ())):
        found = [c for c, own in zip(columns, names, strict=True) if candidate == own[0]]
        found = found or [c for c, own in zip(columns, names, strict=True) if candidate in own]
        if found:
            return str(found[0]) if len(found) == 1 else None
    return None


def family_of(model: str) -> str | None:
    """`vit` or `cnn`, where the model's name says which; None where it says neither or both."""
    vit, cnn = bool(_VIT.search(model)), bool(_CNN.search(model))
    return None if vit == cnn else "vit" if vit else "cnn"
