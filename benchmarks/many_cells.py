"""What large studies cost besides training: status, the start of a sweep and a report, over thousands of records.

    python benchmarks/many_cells.py [cells=20000] [rows=1000000] [only=status,start,resume,records,table]

The records are made up (a law with noise) and written as runs write them. Processor seconds and the largest memory are
those of the command's own process and its children. docs/sweeps.md has the table.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MODELS = ("resnet8", "vit_w48d3", "resnet14", "vit_w64d4")
SIZES = (100, 200, 400, 800, 1600)
RATES = (1e-3, 1e-2)
LEFT = 10  # cells that are not finished, for a sweep that is resumed


def sweep_file(folder: Path, cells: int) -> Path:
    seeds = ", ".join(map(str, range(cells // (len(MODELS) * len(SIZES) * len(RATES)))))
    path = folder / "many.yaml"
    path.write_text(
        f"""budget: {{steps: 2, exponent: 0}}
hydra:
  mode: MULTIRUN
  sweeper:
    cells:
      - model: [{", ".join(MODELS)}]
        data.train_size: [{", ".join(map(str, SIZES))}]
        optim.lr: [{", ".join(map(str, RATES))}]
        seed: [{seeds}]
""",
        encoding="utf-8",
    )
    return path


def measured(name: str, line: list[str], folder: Path) -> None:
    """Runs a command and prints what it took; its children are not waited for by anybody else."""
    pid = os.posix_spawn(
        line[0],
        line,
        os.environ | {"OMP_NUM_THREADS": "1"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(folder / "out.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, str(folder / "err.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ],
    )
    began = time.monotonic()
    _, status, used = os.wait4(pid, 0)
    seconds = used.ru_utime + used.ru_stime
    memory = used.ru_maxrss / 2**20
    ended = f"status {os.waitstatus_to_exitcode(status)}"
    wall = time.monotonic() - began
    print(
        f"{name:<44} {seconds:8.1f} s of processor, {wall:7.1f} s by the clock, {memory:5.2f} GB ({ended})", flush=True
    )
    if os.waitstatus_to_exitcode(status):
        print((folder / "err.txt").read_text(errors="replace")[-2000:])


def write_records(sweep: Path, out: Path, left: int) -> None:
    from scaling.records.cell_fields import known_fields
    from scaling.records.record import Record, write_record
    from scaling.study.command import cells_of

    rng = np.random.default_rng(0)
    cells = cells_of([f"sweeps={sweep}", f"out={out}", "wandb=disabled"])
    for cell in cells[: len(cells) - left]:
        known = known_fields(cell, device="cpu", torch_version="none") | {"git_commit": None}
        slope = 0.25 if cell.model.family == "vit" else 0.2
        worse = 1 + abs(np.log10(cell.optim.lr / 3e-3))
        error = float(np.clip(worse * 2 * cell.data.train_size**-slope * np.exp(rng.normal(0, 0.03)), 0, 0.9))
        record = Record(
            **known, num_params=75_000, train_flops=1e9, train_error=0.0, val_error=error, val_examples=400,
            test_error=error, test_loss=1.0, test_examples=4000, train_seconds=1.0, images_per_second=100.0,
            status="finished", data_fingerprint="0" * 16,
        )  # fmt: skip
        write_record(record, cell.folder)


def write_table(path: Path, rows: int) -> None:
    """A foreign table: many seeds of few sizes."""
    rng = np.random.default_rng(0)
    sizes = np.array([100, 200, 400, 800, 1600, 3200, 6400, 12800])
    with path.open("w", encoding="utf-8") as file:
        file.write("family,model,train_size,seed,test_error\n")
        for row in range(rows):
            family, model = (("vit", "vit_a"), ("cnn", "cnn_b"))[row % 2]
            size = sizes[row // 2 % len(sizes)]
            error = 2 * size ** -(0.25 if family == "vit" else 0.2) * np.exp(rng.normal(0, 0.03))
            file.write(f"{family},{model},{size},{row // 16},{min(error, 0.95):.6f}\n")


def main() -> int:
    values = dict(word.split("=", 1) for word in sys.argv[1:])
    cells, rows = int(values.get("cells", 20_000)), int(values.get("rows", 1_000_000))
    only = values.get("only", "status,start,resume,records,table").split(",")
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep, out = sweep_file(folder, cells), folder / "runs"
        words = [f"sweeps={sweep}", f"out={out}", "wandb=disabled", "device=cpu"]
        if "status" in only:
            measured(f"status, {cells:,} cells, none finished", [*python, "scaling.status", *words], folder)
        if "start" in only:
            measured(f"start of {cells:,} cells (dry run)", [*python, "scaling.train", *words, "dry_run=true"], folder)
        if {"status", "resume", "records"} & set(only):
            began = time.process_time()
            write_records(sweep, out, LEFT)
            print(f"(records written: {time.process_time() - began:.0f} s)", flush=True)
        if "status" in only:
            measured(f"status, {cells:,} cells, all but {LEFT} finished", [*python, "scaling.status", *words], folder)
        if "resume" in only:
            measured(f"resume of {cells:,} cells, {LEFT} of 2 steps left", [*python, "scaling.train", *words], folder)
        if "records" in only:
            line = [*python, "analysis.report", f"results={out}", f"out={folder / 'report'}", "figures=none"]
            measured(f"report of {cells:,} records", line, folder)
        if "table" in only:
            write_table(folder / "table.csv", rows)
            line = [*python, "analysis.report", f"results={folder / 'table.csv'}", f"out={folder / 'r2'}"]
            measured(f"report of a table of {rows:,} rows", [*line, "figures=none"], folder)
            print("\n".join(line[:200] for line in (folder / "err.txt").read_text().splitlines()[:8]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
