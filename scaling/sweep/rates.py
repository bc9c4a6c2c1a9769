"""What cells will cost, from what others did: seconds per image seen, by model and image size. Free of torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from scaling.config import CellConfig
from scaling.records.record import Record

_Key = tuple[str, int]  # what is done, image size
_PROBE = " probe"


def work_of(cell: CellConfig) -> str:
    """What has a rate of its own: a model that is trained, or probed."""
    return cell.model_label + (_PROBE if cell.adaptation == "probe" else "")


class Rates:
    """Measured seconds and images seen, by model and image size.

    A model that was measured at another image size only is taken to cost in proportion to its pixels, one that was
    never measured as much an image as the others did on average.
    """

    def __init__(self) -> None:
        self._seconds: dict[_Key, float] = defaultdict(float)
        self._seen: dict[_Key, int] = defaultdict(int)

    @classmethod
    def of_records(cls, records: Iterable[Record]) -> Rates:
        rates = cls()
        for record in records:
            if record.train_seconds:
                work = record.model + (_PROBE if record.adapt == "probe" else "")
                rates.add(work, record.image_size, record.seen_examples, record.train_seconds)
        return rates

    def add(self, model: str, image_size: int, seen: int, seconds: float) -> None:
        self._seconds[model, image_size] += seconds
        self._seen[model, image_size] += seen

    def _rate(self, keys: Iterable[_Key], image_size: int) -> float | None:
        """Seconds per image of `image_size`, over these models and sizes."""
        pixels = sum(self._seen[key] * (key[1] / image_size) ** 2 for key in keys)
        return sum(self._seconds[key] for key in keys) / pixels if pixels else None

    def seconds(self, cell: CellConfig) -> float | None:
        """What the cell will take, or None before anything was measured."""
        return self.seconds_for((work_of(cell), cell.data.image_size), cell.seen_examples)

    def seconds_for(self, kind: _Key, images: int) -> float | None:
        """The same for a number of images that a kind of cell sees."""
        same = [key for key in self._seen if key == kind] or [key for key in self._seen if key[0] == kind[0]]
        rate = self._rate(same or list(self._seen), kind[1])
        return None if rate is None else rate * images

    def total(self, images: Mapping[_Key, int]) -> float | None:
        """The same for several kinds, one after the other."""
        costs = [self.seconds_for(kind, count) for kind, count in images.items()]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def clock(seconds: float) -> str:
    """Seconds as 3:07 or 2:03:07."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
