"""What a sweeper that searches (Optuna's) is to minimise: the validation error of a cell that has ended."""

from __future__ import annotations

from scaling.config import CellConfig
from scaling.records.cell_folder import recorded
from scaling.records.files import last_line

WORST_ERROR = 1.0  # the objective of a diverged run: no error is higher


class CellFailed(Exception):
    """A cell ended without a validation error."""


def objective_of(cell: CellConfig) -> float | CellFailed:
    """The validation error of an ended cell; 1 of a diverged one."""
    record = recorded(cell)
    if record is not None and record.status == "finished" and record.val_error is not None:
        return record.val_error
    if record is not None and record.status == "diverged":
        return WORST_ERROR
    why = "no record" if record is None else last_line(record.error_text) or "no validation error"
    return CellFailed(f"{cell.cell_name}: {why}")
