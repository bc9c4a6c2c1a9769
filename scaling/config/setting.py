"""Declares a setting once: its default, its limits, and whether it affects a result. One loop checks all limits."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class SettingLimits:
    """What a setting may be. Bounds hold for each value of a tuple; None is always allowed where the type allows it."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[Any, ...] = ()

    def problem(self, value: Any) -> str | None:
        """Says what is wrong with a value, as in "is negative"; None if nothing is."""
        if value is None:
            return None
        if self.choices:
            return None if value in self.choices else f"is not one of {', '.join(map(str, self.choices))}"
        low_enough = (self.at_most is None or value <= self.at_most) and (self.below is None or value < self.below)
        high_enough = (self.at_least is None or value >= self.at_least) and (self.above is None or value > self.above)
        return None if low_enough and high_enough else self._out_of_bounds()

    def _out_of_bounds(self) -> str:
        low = self.above if self.at_least is None else self.at_least
        high = self.below if self.at_most is None else self.at_most
        if low == 0 and high is None:
            return "is negative" if self.at_least == 0 else "is not positive"
        left = "(-inf" if low is None else f"{'(' if self.at_least is None else '['}{low:g}"
        right = "inf)" if high is None else f"{high:g}{')' if self.at_most is None else ']'}"
        share = "is not a share: it " if (low, high) == (0, 1) else ""
        return f"{share}lies outside {left}, {right}"


def declare(default: Any = MISSING, *, result: bool = True, later: bool = False, **limits: Any) -> Any:
    """Declares a field of a config.

    Args:
        default: as in `dataclasses.field`; a field without one has to be given.
        result: whether it affects a result, and so counts in a cell's hash.
        later: it came after the first records: it counts in the hash only away from its default, so that cells of
            before keep their names.
        limits: those of `SettingLimits`.
    """
    metadata = {"limits": SettingLimits(**limits), "result": result, "later": later}
    return dataclasses.field(default=default, metadata=metadata)


def limit_problem(group: Any, where: str = "") -> str | None:
    """The first setting of a config that lies outside its limits, in words; None if none does."""
    for field in dataclasses.fields(group):
        if limits := field.metadata.get("limits"):
            value = getattr(group, field.name)
            if problem := limits.problem(value):
                return f"{where}{field.name}={value} {problem}"
    return None


def hashed(group: Any) -> dict[str, Any]:
    """The settings of a config that count in a cell's hash, by name."""
    values = dataclasses.asdict(group)
    for field in dataclasses.fields(group):
        unchanged = field.metadata.get("later") and getattr(group, field.name) == field.default
        if unchanged or not field.metadata.get("result", True):
            del values[field.name]
    return values
