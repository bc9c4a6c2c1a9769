"""Probes one cell: frozen features of its images, a linear model on them, and its errors. The test images are seen
once, by the strength that the validation images chose.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from scaling.config import CellConfig
from scaling.data.splits import Splits
from scaling.records.wrong_images import WrongImages
from scaling.training.features import frozen_features
from scaling.training.probe import NestedSums, cross_entropy, fit_logistic, fit_ridge, temperature

_FITS = {"ridge": fit_ridge, "logistic": fit_logistic}


def _balanced(wrong: np.ndarray, labels: np.ndarray) -> float:
    """The mean over the classes that are there of each one's error."""
    counts = np.bincount(labels)
    there = counts > 0
    return float((np.bincount(labels, weights=wrong)[there] / counts[there]).mean())


def probe_and_test(cell: CellConfig, splits: Splits, device: torch.device) -> tuple[dict[str, Any], WrongImages]:
    """The record's fields that only a finished probe has, and the images that it got wrong.

    `train_seconds` are those of its images' features, whenever they were computed, and of the fit.

    Raises:
        FeatureError: the model has no features to freeze.
        ProbeError: scikit-learn is not installed.
    """
    features = frozen_features(cell, splits, device)
    begin = time.perf_counter()
    sums = NestedSums(features.train, features.train_labels, cell.num_classes)
    probe = _FITS[cell.probe.loss](sums, len(features.train), features.val, features.val_labels)
    seconds = features.seconds + time.perf_counter() - begin
    scores = {name: probe.scores(getattr(features, name)) for name in ("train", "val", "test")}
    wrong = {name: score.argmax(1) != getattr(features, f"{name}_labels") for name, score in scores.items()}
    # A ridge gives no probabilities: its scores become logits by the one factor that serves the validation images best.
    factor = temperature(scores["val"], features.val_labels) if cell.probe.loss == "ridge" else 1.0
    found = dict(
        train_error=float(wrong["train"].mean()),
        val_error=float(wrong["val"].mean()),
        test_error=float(wrong["test"].mean()),
        test_loss=cross_entropy(factor * scores["test"], features.test_labels),
        test_balanced_error=_balanced(wrong["test"], features.test_labels),
        train_seconds=seconds,
        images_per_second=cell.seen_examples / seconds,
        feature_dim=features.feature_dim,
        strength=probe.strength,
        strengths=(probe.strengths[0], probe.strengths[-1], len(probe.strengths)),
        status="finished",
    )
    return found, WrongImages(wrong["test"], wrong["val"], np.arange(len(wrong["val"]), dtype=np.int32))
