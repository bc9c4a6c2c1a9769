"""Ridge probes along a nested chain: cells/s on one core, against scikit-learn's RidgeClassifier for the same cells.

python benchmarks/probe.py [d=384,2048] [largest=50000] [sizes=12] [strengths=10] [classes=10] [repeats=3]

A cell is one size: standardised by its n images, fitted at every strength, all of them looked at on n/4 validation
images, the chosen one on 10,000 test images. Times are processor time, medians of the repeats. scikit-learn gets
float32 features and one scaler a size; it is timed at one strength, and counted once for each.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from machine import machine

from scaling.training.probe import STRENGTHS, NestedSums, fit_ridge

TEST = 10_000


def made_up(count: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Clouds of points about their class's centre, with neighbouring features alike."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=count)
    centres = rng.normal(size=(classes, d)).astype(np.float32)
    features = rng.standard_normal((count, d), dtype=np.float32)
    features[:, 1:] += features[:, :-1]
    return features + 0.3 * centres[labels], labels


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Processor time, the median of some repeats."""
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def compare(d: int, sizes: list[int], strengths: list[float], classes: int, repeats: int) -> tuple[float, float]:
    """Seconds a cell: ours, and scikit-learn's."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    features, labels = made_up(sizes[-1] + sizes[-1] // 4 + TEST, d, classes)
    pool, val, test = np.split(features, [sizes[-1], len(features) - TEST])
    val_labels = labels[sizes[-1] : len(features) - TEST]

    def ours() -> None:
        sums = NestedSums(pool, labels, classes)
        for n in sizes:
            few = max(n // 4, 4 * classes)
            probe = fit_ridge(sums, n, val[:few], val_labels[:few], strengths=strengths)
            probe.scores(test).argmax(1)

    def scaled() -> None:
        for n in sizes:
            scaler = StandardScaler().fit(pool[:n])
            scaler.transform(pool[:n])
            scaler.transform(val[: n // 4])
            model.predict(scaler.transform(test))  # the chosen strength's

    def fitted() -> None:
        for rows, held, known in ready:
            RidgeClassifier(alpha=0.1 * len(rows)).fit(rows, known).decision_function(held)

    ready = []
    for n in sizes:
        scaler = StandardScaler().fit(pool[:n])
        ready.append((scaler.transform(pool[:n]), scaler.transform(val[: max(n // 4, 4 * classes)]), labels[:n]))
    model = RidgeClassifier(alpha=10.0).fit(ready[0][0], ready[0][2])
    theirs = seconds_of(scaled, repeats) + len(strengths) * seconds_of(fitted, repeats)
    return seconds_of(ours, repeats) / len(sizes), theirs / len(sizes)


def main(arguments: list[str]) -> int:
    values = {"d": "384,2048", "largest": "50000", "sizes": "12", "strengths": "10", "classes": "10", "repeats": "3"}
    values |= dict(word.split("=", 1) for word in arguments if "=" in word)
    largest, count, classes = int(values["largest"]), int(values["sizes"]), int(values["classes"])
    sizes = [round(n) for n in np.geomspace(max(10 * classes // 4, largest / 2 ** (count - 1)), largest, count)]
    strengths = np.geomspace(STRENGTHS[0], STRENGTHS[-1], int(values["strengths"])).tolist()
    print(machine("cpu", 1))
    print(f"{'features':<12}{'cells/s':>10}{'scikit-learn':>15}{'times as fast':>15}")
    for d in map(int, values["d"].split(",")):
        ours, theirs = compare(d, sizes, strengths, classes, int(values["repeats"]))
        print(f"{d:<12}{1 / ours:>10.1f}{1 / theirs:>15.2f}{theirs / ours:>15.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
