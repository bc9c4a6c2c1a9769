"""Where a pilot's runs lie: a folder named by the data's name, their fingerprint and the time limit."""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.pilot.folder import Look

PLAN = "plan.json"
_LONGEST = 120  # bytes of a name
# What only says where the data lie and how they are read: what follows from it is in the fingerprint.
_NOT_SETTINGS = ("data", "data.root", "data.name", "data.layout", "data.cache", "data.cache_gb", "data.skip_unreadable")


def safe_name(text: str) -> str:
    """A data's name as part of a folder's: NFC, letters of every script, the rest as _, at most 120 bytes."""
    kept = [c if c in "._-" or unicodedata.category(c)[0] in "LMN" else "_" for c in unicodedata.normalize("NFC", text)]
    while len("".join(kept).encode("utf-8", "replace")) > _LONGEST:
        kept.pop()
    return "".join(kept) or "data"


@dataclass(frozen=True)
class PilotPlace:
    """The name of the pilot's sweep, and what to say about earlier pilots of the same folder."""

    sweep: str
    notes: tuple[str, ...]


def _settings(values: Mapping[str, str]) -> str:
    """Marks settings of the data that other runs follow from; empty where none is given."""
    given = {k: v for k, v in values.items() if k.startswith("data.") and k not in _NOT_SETTINGS}
    given = {k: v for k, v in given.items() if not k.startswith("data.columns.")}
    given |= {k: values[k] for k in ("weights",) if k in values}
    return f"-{hashlib.sha256(json.dumps(sorted(given.items())).encode()).hexdigest()[:4]}" if given else ""


def find_place(found: Look, values: Mapping[str, str], out: Path) -> PilotPlace:
    """The place of this pilot. Runs on the same pictures are gone on with, even under another name; a folder that has
    changed is started anew, and said so."""
    fingerprint, limit = found.found.fingerprint[:8], values["time_limit"].strip()
    name, mark = safe_name(found.found.config.name or "data"), _settings(values)
    sweep = f"pilot_{name}{mark}-{fingerprint}_{limit}"
    if (out / sweep / PLAN).exists():
        return PilotPlace(sweep, ())
    for plan in sorted(out.glob(f"pilot_*{mark}-{fingerprint}_{limit}/{PLAN}")):
        if _read(plan).get("settings", "") == mark:
            return PilotPlace(plan.parent.name, (f"the same pictures as in {plan.parent}: going on there",))
    return PilotPlace(sweep, tuple(_changed(found, plan) for plan in _earlier(found, out)[:1]))


def _read(plan: Path) -> dict[str, Any]:
    try:
        return json.loads(plan.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _earlier(found: Look, out: Path) -> list[Path]:
    """Plans of other pictures in the same folder, the latest first."""
    here = str(Path(found.root).resolve())
    plans = [plan for plan in out.glob(f"pilot_*/{PLAN}") if _read(plan).get("root") == here]
    plans = [plan for plan in plans if _read(plan).get("fingerprint") != found.found.fingerprint]
    return sorted(plans, key=lambda plan: plan.stat().st_mtime, reverse=True)


def _changed(found: Look, plan: Path) -> str:
    known = _read(plan)
    more = found.images - int(known.get("images", 0))
    what = (
        f"{abs(more):,} images {'more' if more > 0 else 'less'} than"
        if more
        else "as many images, but not the same, as"
    )
    return f"{found.root} holds {what} on {known.get('date')}: starting anew; the earlier runs stay in {plan.parent}"


def about(found: Look, values: Mapping[str, str]) -> dict[str, Any]:
    """What a plan keeps of the data, for later calls to compare with."""
    return {
        "root": str(Path(found.root).resolve()),
        "fingerprint": found.found.fingerprint,
        "settings": _settings(values),
        "images": found.images,
        "date": time.strftime("%Y-%m-%d"),
    }
