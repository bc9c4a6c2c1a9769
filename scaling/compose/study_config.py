"""What a command does with its cells other than run them: dry runs, tuning, checks; typed and checked at the door."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from omegaconf import DictConfig, OmegaConf

from scaling.compose.parse import _read, _require
from scaling.compose.paths import STUDY
from scaling.config.model_config import ARCHITECTURE
from scaling.config.setting import declare, limit_problem


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How `tune=` searches; every model gets the same number of trials."""

    sizes: list[int] | None = None  # training sizes to tune at; null: two of the sweep's
    held: int | None = None  # the size at which the rule is checked; null: a larger one of the sweep's, 0: no check
    factor: float = declare(4.0, above=1)  # between the values of the first grid; its root is the finest step
    values: int = declare(5, at_least=3)  # of the first grid
    growth: int = declare(4, at_least=0)  # values that a grid may gain while its best is at an edge
    seeds: int = declare(2, at_least=1)  # of the best values
    fresh: int = declare(1, at_least=0)  # seeds that no trial had, to run the chosen values again
    save: str | None = None  # also write the recipe to conf/recipes/SAVE.yaml of this checkout


@dataclass(frozen=True, kw_only=True)
class StopConfig:
    """What ends `design=adaptive`: the first that is reached. With none of them: the verdict."""

    cost: str | None = None  # wall time of the sweep: 90s, 30m, 2h
    width: float | None = declare(None, above=0)  # of the crossing's interval, in decades
    p: float | None = declare(None, above=0.5, below=1)  # that one family is the better one at the size `at`
    at: int | None = declare(None, at_least=1)
    verdict: bool | None = None  # a claimed verdict that further runs would hardly change; null: if no width and no p

    @property
    def at_verdict(self) -> bool:
        return self.verdict if self.verdict is not None else self.width is None and self.p is None

    @property
    def seconds(self) -> float:
        """Of `cost`; infinite without one."""
        if self.cost is None:
            return math.inf
        number, unit = str(self.cost)[:-1], str(self.cost)[-1:]
        return float(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What a command is to do with its cells, other than run them."""

    dry_run: bool = False
    recipe: tuple[str, ...] = ()
    tune: str | None = None  # the setting, such as optim.lr
    tuning: TuningConfig = field(default_factory=TuningConfig)
    check: str | None = None
    check_at: tuple[int, ...] | str | None = None  # sizes, or a crossover.json
    design: str = "grid"  # adaptive: only the cells that the answer needs
    stop: StopConfig = field(default_factory=StopConfig)


def _check_tuning(tuning: TuningConfig) -> None:
    problem = limit_problem(tuning, "tuning.")
    _require(problem is None, str(problem))
    _require(all(n > 0 for n in tuning.sizes or ()), f"tuning.sizes={tuning.sizes} are not training sizes")
    legal = tuning.save is None or re.fullmatch(r"[0-9A-Za-z._-]+", tuning.save) is not None
    _require(legal, f"tuning.save={tuning.save!r} names a file in conf/recipes/: letters, digits, dots, - and _ only")


def _check_stop(stop: StopConfig, design: str) -> None:
    problem = limit_problem(stop, "stop.")
    _require(problem is None, str(problem))
    cost = stop.cost
    legal = cost is None or re.fullmatch(r"\d+(\.\d+)?[smhd]", str(cost)) is not None
    _require(legal, f"stop.cost={cost} is not a time such as 90s, 30m or 2h")
    _require((stop.p is None) == (stop.at is None), "stop.p= and stop.at= belong together: P of the leader at a size")
    _require(design == "adaptive" or stop == StopConfig(), "stop. says when design=adaptive ends; a grid runs whole")


def parse_study(config: DictConfig) -> StudyConfig:
    """What a command is to do with its cells, from the same composed config.

    Raises:
        ConfigError: a setting is of the wrong type or cannot be.
    """
    tuning = _read(TuningConfig, config.get("tuning"), "tuning")
    _check_tuning(tuning)
    plain = {key: OmegaConf.to_container(OmegaConf.create({"v": config.get(key)}))["v"] for key in STUDY}  # type: ignore[index, call-overload]
    _require(isinstance(plain["dry_run"], bool), f"dry_run={plain['dry_run']} is neither true nor false")
    names = plain["recipe"] if isinstance(plain["recipe"], list) else [plain["recipe"]]
    tune, check, at = plain["tune"], plain["check"], plain["check_at"]
    _require(check in (None, "budget"), f"check={check} is not budget")
    _require(tune is None or check is None, "tune= and check= are two commands")
    if tune is not None:
        tune = str(tune) if "." in str(tune) else f"optim.{tune}"
        _require(tune.split(".")[0] in ("optim", "model"), f"tune={tune}: a setting of optim or model, such as lr")
        shape = tune.split(".")[0] == "model" and tune.split(".")[1] in ARCHITECTURE
        _require(not shape, f"tune={tune} would change the model; a recipe's settings can be tuned, such as lr")
    design, stop = str(plain["design"]), _read(StopConfig, config.get("stop"), "stop")
    _require(design in ("grid", "adaptive"), f"design={design} is neither grid nor adaptive")
    _require(design == "grid" or (tune is None and check is None), "design=adaptive does without tune= and check=")
    _check_stop(stop, design)
    if isinstance(at, int | list):
        sizes = at if isinstance(at, list) else [at]
        _require(all(isinstance(n, int) and n > 0 for n in sizes), f"check_at={at} are not training sizes")
        at = tuple(sizes)
    return StudyConfig(
        dry_run=bool(plain["dry_run"]),
        recipe=tuple(str(name) for name in names if name is not None),
        tune=tune,
        tuning=tuning,
        check=check,
        check_at=at,
        design=design,
        stop=stop,
    )
