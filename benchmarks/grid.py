"""What a sweep takes at measured rates: its cells as they are composed, `workers` side by side, the longest first.

A cell's speed is that of its model among as many runs as there are at that moment, read off the measured numbers of
runs at once, between them in a straight line of the aggregate rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TEST = 10_000  # images of CIFAR-10's test set, and of about the size of others'
Rates = Mapping[int, float]  # images/s of all runs together, by how many there are at once; 1 is among them


def rate_of_each(rates: Rates, at_once: int) -> float:
    """Images/s of one run among `at_once`; beyond the largest measured number the aggregate stays what it was there."""
    below = max(count for count in rates if count <= at_once)
    above = min((count for count in rates if count >= at_once), default=below)
    share = (at_once - below) / (above - below) if above > below else 0.0
    return (rates[below] + share * (rates[above] - rates[below])) / at_once


def seconds_of(jobs: Sequence[tuple[str, float]], rates: Mapping[str, Rates], *, workers: int) -> float:
    """Until the last of the jobs (model, images) is done. A worker takes the next one as soon as it is free."""
    waiting = sorted(jobs, key=lambda job: job[1] / rates[job[0]][1])
    running: list[list] = []  # [model, images that are left]
    clock = 0.0
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(list(waiting.pop()))
        speeds = [rate_of_each(rates[model], len(running)) for model, _ in running]
        step = min(left / speed for (_, left), speed in zip(running, speeds, strict=True))
        clock += step
        for job, speed in zip(running, speeds, strict=True):
            job[1] -= step * speed
        running = [job for job in running if job[1] > 1e-6]
    return clock


def estimate(sweep: str, rates: Mapping[str, Rates], *, overhead: float) -> str:
    """One line on those cells of a sweep whose models were measured; its data need not be there if they are published.

    Args:
        overhead: seconds of start-up and of what else a command does beside training.
    """
    from scaling.config.cell_config import FORWARD
    from scaling.records.files import duration
    from scaling.study.command import cells_of

    everything = cells_of([f"sweeps={sweep}"])
    cells = [cell for cell in everything if cell.model.name in rates]
    of = f"{len(cells)} cells" if len(cells) == len(everything) else f"{len(cells)} of the {len(everything)} cells"
    jobs = []
    for cell in cells:
        n = cell.data.train_size
        evaluated = n + n // 4 + TEST
        jobs.append((str(cell.model.name), cell.steps * cell.optim.batch_size + FORWARD * evaluated))
    workers = max(max(counts) for counts in rates.values())
    seconds = seconds_of(jobs, rates, workers=workers) + overhead
    return f"sweeps={sweep}: {of}, {workers} at a time, would take about {duration(seconds)} at these rates"
