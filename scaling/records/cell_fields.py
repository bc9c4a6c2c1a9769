"""What a cell's record says before anything is measured, and the record of a cell that did not finish. Free of torch,
so that the process which supervises the workers can record the end of one.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

from scaling.config import CellConfig
from scaling.records.record import Record, Status


@functools.cache
def _git_commit() -> str | None:
    """The commit of the checkout that this code runs from; None outside one."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def known_fields(cell: CellConfig, *, device: str, torch_version: str) -> dict[str, Any]:
    """The fields of the record that the config and the machine alone decide."""
    model, data = cell.model, cell.data
    return dict(
        name=cell.cell_name,
        sweep=cell.sweep,
        config_hash=cell.config_hash,
        overrides=cell.overrides,
        family=model.family,
        model=cell.model_label,
        width=model.width,
        depth=model.depth,
        patch_size=model.patch_size if model.family == "vit" else None,
        data=data.name,
        locality=data.locality,
        image_size=data.image_size,
        num_classes=cell.num_classes,
        train_size=data.train_size,
        subset_seed=data.subset_seed,
        seed=cell.seed,
        lr=cell.optim.lr,
        steps=cell.steps,
        seen_examples=cell.seen_examples,
        device=device,
        precision=cell.precision,
        threads=cell.threads,
        torch_version=torch_version,
        git_commit=_git_commit(),
        budget_factor=cell.budget.factor,
        budget_rule=cell.budget.rule,
        init_from=cell.start,
        adapt=cell.adaptation,
        start_fingerprint=cell.start_fingerprint or None,
        purpose=cell.purpose,
        pretrain_data=cell.start_facts.data,
        pretrain_size=cell.start_facts.size if cell.pretrain_size is None else cell.pretrain_size,
        pretrain_image_size=cell.start_facts.image_size,
        pretrain_mean=cell.start_facts.mean,
        pretrain_std=cell.start_facts.std,
    )


_MEASURED = """num_params train_flops train_error val_error val_examples test_error test_loss test_examples
train_seconds images_per_second"""
UNKNOWN: dict[str, Any] = dict.fromkeys(_MEASURED.split())


def unfinished_record(cell: CellConfig, status: Status, text: str, *, device: str, torch_version: str) -> Record:
    """The record of a cell that failed or diverged before anything was known of it but its config."""
    fields = known_fields(cell, device=device, torch_version=torch_version)
    return Record(**fields | UNKNOWN, status=status, error_text=text)
