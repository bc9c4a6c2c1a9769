"""Recognises what was given in place of class folders, so that a refusal can say how it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scaling.data.errors import DataError
from scaling.records.files import some

AS_CLASSES = "if these are classes, data.layout=classes says so"
_KINDS = {
    (".csv", ".tsv"): "a table: data=table reads it",
    (".xlsx", ".xls", ".ods"): "a workbook: save its sheet as CSV, and data=table reads that",
    (".parquet", ".pq"): "a Parquet file: data=parquet reads it",
    (".npz", ".npy"): "a file of NumPy arrays: data=npz reads arrays x_train, y_train, ... of an .npz",
    (".7z", ".rar"): "an archive of a kind that is not read: unpack it, and give the folder as data.root",
    (".zip", ".tar", ".tar.gz", ".tgz"): "an archive: give it as data.root, or unpack several into folders",
    (".arrow",): "a data set of Hugging Face's library: save it as Parquet (to_parquet), and data=parquet reads it",
    (".json", ".jsonl"): "annotations: write them as a CSV of path,label, and data=table reads it",
}
# Folders that lie beside each other where every picture has a mask or a label file: no classes.
_PICTURES = frozenset("image images img imgs jpegimages photos pictures rgb input inputs".split())
_MASKS = frozenset(
    "mask masks label labels annotation annotations annots gt groundtruth ground_truth seg segmentation segmentations"
    " segmentationclass segmentationobject target targets bboxes xml xmls".split()
)


def kind_of_file(name: str) -> str | None:
    """What a file's name says about it; None where it says nothing."""
    return next((text for suffixes, text in _KINDS.items() if name.lower().endswith(suffixes)), None)


def not_a_folder(root: str) -> str | None:
    """What a data.root is that is no folder, and how that is read; None where nothing is there."""
    if "://" in root:
        kind = root.split("://", 1)[0]
        return f"is an address ({kind}): mount it or copy it, and give its folder as data.root"
    if not os.path.exists(root):
        return None
    kind_known = kind_of_file(root)
    return f"is {kind_known}" if kind_known else "is a file, not a folder with class folders"


def holds_instead(folder: str) -> str:
    """What a folder without class folders holds that is read in another way; empty where that is nothing."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        kind = kind_of_file(entry.name) if entry.is_file() else None
        if kind:
            return f" (it holds {some([entry.name])}, {kind})"
    return ""


def refuse_masks(root: str, classes: Sequence[str]) -> None:
    """Raises:
    DataError: the folders hold pictures and what was drawn on them.
    """
    names = {name.lower() for name in classes}
    if names & _MASKS and names & _PICTURES and names <= _MASKS | _PICTURES:
        what = f"pictures beside their masks or labels ({some(classes)}), not classes"
        raise DataError(f"{root} holds {what}; {AS_CLASSES}")
