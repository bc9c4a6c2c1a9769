"""Who is blamed for a worker's death: its cell, or nobody."""

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.records.record import FILE_NAME, read_record
from scaling.sweep.pool import Pool, PoolError, how_it_died


@pytest.mark.parametrize(
    ("exitcode", "begun", "status"),
    [
        (0, False, "stopped"),  # it was leaving, after a GPU fault of the cell before: the cell goes to another worker
        (0, True, "failed"),  # something in the cell ended it
        (-signal.SIGSEGV, True, "failed"),
        (42, True, "failed"),
    ],
)
def test_a_worker_that_was_leaving_is_no_cells_fault(
    make_cell: Callable, tmp_path: Path, exitcode: int, begun: bool, status: str
) -> None:
    cell = make_cell("model=resnet8_w8", "data.image_size=8", "data.permute_patch=4", f"out={tmp_path}")
    worker = SimpleNamespace(
        cell=cell,
        seen=None,
        torch_version="2",
        device="cpu" if begun else None,
        process=SimpleNamespace(exitcode=exitcode),
    )
    assert Pool(1)._death(worker)[0] == status  # type: ignore[arg-type]
    assert (cell.folder / FILE_NAME).exists() == (status == "failed")
    if status == "failed":
        assert read_record(cell.folder / FILE_NAME).error_text == how_it_died(exitcode)


def test_workers_that_never_start_end_the_command(make_cell: Callable, tmp_path: Path) -> None:
    cell = make_cell("model=resnet8_w8", "data.image_size=8", "data.permute_patch=4", f"out={tmp_path}")
    process = SimpleNamespace(exitcode=1)
    worker = SimpleNamespace(cell=cell, seen=None, torch_version=None, device=None, process=process)
    pool = Pool(1)
    assert [pool._death(worker)[0] for _ in range(2)] == ["stopped", "stopped"]  # type: ignore[arg-type]
    with pytest.raises(PoolError, match="workers do not start"):
        pool._death(worker)  # type: ignore[arg-type]
    assert not (cell.folder / FILE_NAME).exists()
