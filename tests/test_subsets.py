"""Subsets: nested, balanced, in proportion where classes are unequal, and the same on every machine."""

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.subsets.nested_order import carve, nested_order, validation_size


def _pool(counts: list[int]) -> tuple[np.ndarray, list[str]]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return labels, [f"{label}/{i:04d}.jpg" for i, label in enumerate(labels)]


def test_equal_classes_are_balanced_to_within_one_at_every_size() -> None:
    labels, keys = _pool([50] * 7)
    order = nested_order(labels, keys, seed=0)
    assert sorted(order) == list(range(350))
    for n in range(7, 351):
        sizes = np.bincount(labels[order[:n]], minlength=7)
        assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_unequal_classes_keep_their_proportions(counts: list[int], seed: int) -> None:
    """Within one image of the exact quota plus the one that each class is owed (Sainte-Laguë stays near quota)."""
    labels, keys = _pool(counts)
    order = nested_order(labels, keys, seed=seed)
    for n in range(len(counts), sum(counts) + 1):
        sizes = np.bincount(labels[order[:n]], minlength=len(counts))
        assert sizes.min() >= 1
        quota = n * np.array(counts) / sum(counts)
        assert np.all(sizes <= np.ceil(quota) + 1)


def test_order_does_not_depend_on_the_file_system() -> None:
    labels, keys = _pool([20, 30])
    shuffled = np.random.default_rng(0).permutation(50)
    a = [keys[i] for i in nested_order(labels, keys, seed=3)]
    b = [keys[shuffled[i]] for i in nested_order(labels[shuffled], [keys[i] for i in shuffled], seed=3)]
    assert a == b


def test_seeds_give_other_subsets() -> None:
    labels, keys = _pool([100, 100])
    first = set(nested_order(labels, keys, seed=0)[:40])
    second = set(nested_order(labels, keys, seed=1)[:40])
    assert first != second


def test_order_is_pinned() -> None:
    """The same on every machine and Python: a change would make old records' subsets others."""
    labels, keys = _pool([30, 30, 30])
    order = nested_order(labels, keys, seed=5)
    assert hashlib.sha256(",".join(map(str, order)).encode()).hexdigest()[:12] == "ea7b30db48cd"


def test_validation_is_apart_and_balanced() -> None:
    labels, keys = _pool([100] * 5)
    train, val = carve(labels, keys, share=0.2, num_classes=5, salt="validation")
    assert not set(train) & set(val)
    assert len(val) == 100
    assert set(np.bincount(labels[val])) == {20}


def test_what_is_taken_out_is_pinned() -> None:
    """Validation and test sets stay what they are on every machine and Python."""
    labels, keys = _pool([30, 30, 30])
    told = [carve(labels, keys, share=0.2, num_classes=3, salt=salt)[1] for salt in ("validation", "test")]
    digest = hashlib.sha256(",".join(map(str, np.concatenate(told))).encode()).hexdigest()
    assert digest[:12] == "c9558f53fafd"


def test_what_is_taken_out_holds_every_class() -> None:
    labels, keys = _pool([90, 2, 8])
    left, out = carve(labels, keys, share=0.02, num_classes=3, salt="test")
    assert np.bincount(labels[out]).tolist() == [1, 1, 1]
    assert sorted([*left, *out]) == list(range(100))


def test_names_that_are_no_utf8_have_a_place() -> None:
    keys = [os.fsdecode(b"\xff%d.jpg" % i) for i in range(4)]
    assert sorted(nested_order(np.array([0, 0, 1, 1]), keys, seed=0)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "expected"), [(100, 40), (1000, 250), (100_000, 5000)])
def test_validation_size_is_a_quarter_with_a_floor_and_a_ceiling(n: int, expected: int) -> None:
    assert validation_size(n, num_classes=10, available=5000) == expected
