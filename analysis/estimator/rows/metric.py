"""Tells from a metric's name, or from what the user says, which way is better and what range it has.

Curves are fitted to what is left to the best value: an error stays as it is, an accuracy becomes 1 - accuracy. Only
shares of test images (accuracy, top-5, error) have binomial noise; of all others
the seeds alone say how noisy they are.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.arguments import InputError
from analysis.estimator.arrays import Array

RANGES: dict[str, float | None] = {"0..1": 1.0, "0..100": 100.0, "unbounded": None}
FITTED = "fitted_error"  # the column of what is fitted, where the user's own column is not that already


@dataclass(frozen=True)
class Named:
    """What a name says of a metric. `rate`: a share of the test images; `chance`: how guessing is scored."""

    words: str  # for people
    higher: bool
    bounded: bool  # has a top (of 1, or 100 in percent)
    rate: bool = False
    chance: str = ""  # "classes", "five" (of the classes), "half", "zero" or "log"; empty: not known
    lowest: float = 0.0


_ACCURACY = Named("accuracy", True, True, rate=True, chance="classes")
_ERROR = Named("error", False, True, rate=True, chance="classes")
_LOSS = Named("loss", False, False)
_PERPLEXITY = Named("perplexity", False, False)
# What is left of a name without its split (test_, val_) and its unit (_percent) -> what it is.
NAMES: dict[str, Named] = {
    **dict.fromkeys(("accuracy", "acc", "top1", "acc1", "top1acc", "top1accuracy", "accuracytop1"), _ACCURACY),
    **dict.fromkeys(("acctop1", "acc@1", "accat1", "microf1", "f1micro", "oa", "overallaccuracy", "prec1"), _ACCURACY),
    **dict.fromkeys(
        ("top5", "acc5", "top5acc", "top5accuracy", "accuracytop5", "acctop5", "prec5"),
        Named("top-5 accuracy", True, True, rate=True, chance="five"),
    ),
    **dict.fromkeys(
        ("balancedaccuracy", "balancedacc", "bacc", "bac", "balacc", "meanclassaccuracy", "macroaccuracy", "macroacc",
         "perclassacc"),
        Named("balanced accuracy", True, True, chance="classes"),
    ),
    **dict.fromkeys(
        ("auroc", "auc", "rocauc", "aucroc", "aurocmacro", "macroauroc", "macroauc", "rocaucscore", "aucscore"),
        Named("AUROC", True, True, chance="half"),
    ),
    **dict.fromkeys(
        ("ap", "map", "averageprecision", "meanaverageprecision", "auprc", "prauc", "aupr", "map50", "ap50"),
        Named("average precision", True, True),
    ),
    **dict.fromkeys(
        ("f1", "f1score", "macrof1", "f1macro", "weightedf1", "f1weighted", "macrof1score", "fscore"),
        Named("F1", True, True),
    ),
    **dict.fromkeys(("precision", "macroprecision", "ppv"), Named("precision", True, True)),
    **dict.fromkeys(("recall", "macrorecall", "sensitivity", "tpr", "specificity", "tnr"), Named("recall", True, True)),
    **dict.fromkeys(("iou", "miou", "meaniou", "jaccard", "dice", "dicescore"), Named("overlap", True, True)),
    **dict.fromkeys(
        ("kappa", "cohenkappa", "cohenskappa", "qwk", "quadraticweightedkappa", "quadratickappa", "mcc"),
        Named("kappa", True, True, chance="zero", lowest=-1.0),
    ),
    **dict.fromkeys(("error", "err", "errorrate", "top1err", "top1error", "errrate", "mistakes"), _ERROR),
    **dict.fromkeys(("misclassification", "misclassificationrate", "zerooneloss", "errortop1", "errtop1"), _ERROR),
    **dict.fromkeys(
        ("top5err", "top5error", "errortop5", "errtop5"), Named("top-5 error", False, True, rate=True, chance="five")
    ),
    **dict.fromkeys(("balancederror", "balancederr"), Named("balanced error", False, True, chance="classes")),
    **dict.fromkeys(
        ("loss", "nll", "crossentropy", "ce", "celoss", "xent", "logloss", "crossentropyloss", "nllloss"),
        Named("loss", False, False, chance="log"),
    ),
    **dict.fromkeys(("mse", "mae", "rmse", "bce", "brier", "brierscore", "ece"), _LOSS),
    **dict.fromkeys(("perplexity", "ppl"), _PERPLEXITY),
}  # fmt: skip
_PREFIX = re.compile(r"^(metrics|summary|params|config|tags)[./]")
_SPLIT = re.compile(
    r"^(test|testing|eval|evaluation|val|valid|validation|dev|train|training|best|final|mean|avg|average|max)[ _\-./:]+"
)
_VALIDATION = re.compile(r"(^|[ _\-./:])(val|valid|validation|dev)([ _\-./:]|$)", re.IGNORECASE)
_TRAINING = re.compile(r"(^|[ _\-./:])(train|training)([ _\-./:]|$)", re.IGNORECASE)
_MEAN = re.compile(r"[ _\-./]+\(?(mean|avg|average|median)\)?$")
_PERCENT = re.compile(r"[ _\-./]*(\(?(percent|percentage|pct)\)?|\(?%\)?|\[%\])$")


@dataclass(frozen=True)
class Metric:
    """One metric as it is compared.

    `name` is the user's own; `top` the end of its range (1, 100, or None for none); `higher` whether more is better.
    `rate`: a share of the test images, with their binomial noise. `kind` is what the fits know: "error" (at most 1) or
    "loss". `words` and `chance` come from the list of names.
    """

    name: str
    higher: bool
    top: float | None
    rate: bool
    words: str
    chance: str = ""
    lowest: float = 0.0

    @property
    def better(self) -> str:
        return "higher" if self.higher else "lower"

    @property
    def kind(self) -> str:
        return "error" if self.top is not None and self.lowest >= 0 else "loss"

    @property
    def unit(self) -> float:
        """How much of the user's metric is one unit of what is fitted: 100 of a percentage."""
        return self.top or 1.0

    @property
    def column(self) -> str:
        """The column that is fitted."""
        return FITTED if self.higher or self.unit != 1 else self.name

    def cost(self, values: ArrayLike) -> Array:
        """What is fitted: the distance to the best value, as a share of the range. NaN stays NaN."""
        given = np.asarray(values, dtype=float)
        if self.higher:
            # Rounded where the difference of two decimals has digits that neither has: 1 - 0.9 is not 0.1.
            return np.asarray(np.round((self.unit - given) / self.unit, 12))
        return given / self.unit if self.unit != 1 else given

    def value(self, cost: ArrayLike) -> Array:
        """The user's metric again, from what is fitted."""
        fitted = np.asarray(cost, dtype=float)
        return self.unit * (1 - fitted) if self.higher else fitted * self.unit

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """An interval of what is fitted, in the user's metric and ascending."""
        ends = sorted(float(v) for v in self.value([low, high]))
        return ends[0], ends[1]

    def classes(self, num_classes: float | None) -> float | None:
        """The number of classes of which a guess would be as bad as guessing is here; None where that is not known."""
        if self.chance == "half":
            return 2.0
        if self.chance == "zero":
            return math.e  # whose loss of guessing is 1, as 1 - kappa of guessing is
        if num_classes is None or not self.chance:
            return None
        return num_classes / 5 if self.chance == "five" and num_classes > 5 else num_classes

    @property
    def noun(self) -> str:
        """What sentences call it: error, loss, or the user's own name."""
        if not self.higher and (self.words in ("error", "") or "loss" in (self.words, self.name[-4:])):
            known = {"error": "error", "loss": "loss"}
            return known.get(self.words) or ("loss" if self.name.endswith("loss") else "error")
        return self.name

    @property
    def fitted_noun(self) -> str:
        """What is fitted and compared as a ratio: error, loss, or 1 - auroc."""
        return f"({self.unit:g} \N{MINUS SIGN} {self.name})" if self.higher else self.noun

    def show(self, value: float) -> str:
        """The user's metric in text: three decimals, one of a percentage."""
        return f"{value:.1f}" if self.unit == 100 else f"{value:.3f}"

    def describe(self) -> str:
        """`auroc (AUROC, higher is better, 0 to 1)`: the direction and range, for a line of what was understood."""
        span = "no upper end" if self.top is None else f"{self.lowest * self.unit:g} to {self.unit:g}"
        called = "" if self.words.lower() in self.name.lower() or not self.words else f"{self.words}, "
        return f"{self.name} ({called}{self.better} is better, {span})"


def plain_name(name: str) -> tuple[str, bool]:
    """A metric's name without split and unit, and whether it said percent: `test/acc (%)` -> ("acc", True)."""
    text = _PREFIX.sub("", str(name).strip().lower())
    text, percent = _PERCENT.subn("", _MEAN.sub("", text))
    text = _MEAN.sub("", text)
    while (short := _SPLIT.sub("", text)) != text:
        text = short
    return re.sub(r"[ _\-./:]", "", text), bool(percent)


def known_metric(name: str) -> Named | None:
    """What the name, or its end, says: `linear_probe_acc` is an accuracy; None for what is not in the list."""
    plain = plain_name(name)[0]
    if plain in NAMES:
        return NAMES[plain]
    words = re.split(r"[ _\-./]+", _PERCENT.sub("", _MEAN.sub("", str(name).strip().lower())))
    ends = ("".join(words[i:]) for i in range(1, len(words)))
    return next((NAMES[end] for end in ends if end in NAMES), None)


def is_validation(name: str) -> bool:
    """Whether a column's name says that it is of the validation images."""
    return bool(_VALIDATION.search(_PREFIX.sub("", name)))


def is_training(name: str) -> bool:
    return bool(_TRAINING.search(_PREFIX.sub("", name)))


def _how_to_say(name: str) -> str:
    return (
        f"metric={name}: whether more or less of it is better is not known; say better=higher or better=lower, and"
        " range=0..1, range=0..100 or range=unbounded"
    )


def metric_of(name: str, *, better: str | None = None, range: str | None = None) -> Metric:
    """The metric of that name.

    Args:
        name: the column: accuracy, acc, top1, auroc, f1, kappa, error, loss, perplexity and the like, with test_ or
            val_ before and _percent after it; or any other name, with `better` and `range`.
        better: "higher" or "lower"; None where the name says it.
        range: "0..1", "0..100" or "unbounded"; None where the name says it.

    Raises:
        InputError: a name that is not in the list without `better`, a range that does not exist, or a metric of which
            more is better without an upper end, for which there is nothing to fit.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"metric={name!r} is not the name of a column")
    if better not in (None, "higher", "lower"):
        raise InputError(f"better={better} is neither higher nor lower")
    if range is not None and range not in RANGES:
        raise InputError(f"range={range} is none of {', '.join(RANGES)}")
    known, percent = known_metric(name), plain_name(name)[1]
    if known is None and better is None:
        raise InputError(_how_to_say(name))
    higher = known.higher if better is None and known is not None else better == "higher"
    if range is not None:
        top = RANGES[range]
    elif known is None:
        # An error-like unknown needs no top; what is better when higher has to say one.
        top = 100.0 if percent else None
    else:
        top = (100.0 if percent else 1.0) if known.bounded else None
    if higher and top is None:
        raise InputError(
            f"metric={name}: a metric of which more is better needs an upper end: say range=0..1 or range=0..100"
        )
    trusted = known is not None and known.higher == higher  # a name that the user contradicts says nothing else
    return Metric(
        name,
        higher,
        top,
        rate=bool(trusted and known is not None and known.rate and top is not None),
        words=known.words if trusted and known is not None else "",
        chance=known.chance if trusted and known is not None else "",
        lowest=known.lowest if trusted and known is not None else 0.0,
    )


def check_values(metric: Metric, values: pd.Series, *, told: bool = False) -> None:
    """Refuses values outside the range, and a share given as a percentage or the other way round.

    Args:
        told: the user said `range=`: then only values outside it are refused.

    Raises:
        InputError: with the value that was seen, and how to say what it is.
    """
    found = values.dropna()
    if found.empty:
        return
    low, high = metric.lowest * metric.unit, np.inf if metric.top is None else metric.unit
    outside = found[(found < low) | (found > high)]
    if len(outside):
        first = float(outside.iloc[0])
        hint = ""
        if metric.top == 1 and first > 1 and found.max() <= 100:
            hint = "; range=0..100 says that it is a percentage"
            if metric.words == "error" and metric.name == "test_error":
                hint += ", metric=accuracy_percent (or accuracy, error_percent) that it is one of these"
        raise InputError(f"{metric.name}={first:g} lies outside [{low:g}, {high:g}]{hint}")
    if metric.top == 100 and not told and float(found.max()) <= 1:
        raise InputError(
            f"{metric.name}: no value is above {found.max():g}, which looks like shares from 0 to 1 and not like"
            " percentages; say range=0..1, or range=0..100 if these are percentages"
        )


def fitted_values(metric: Metric, table: pd.DataFrame) -> pd.Series:
    """What is fitted of every row, in the rows' order."""
    return pd.Series(metric.cost(table[metric.name].to_numpy(float)), table.index)


def metric_columns(columns: Any) -> list[str]:
    """The columns that are metrics by their names, those of training and validation left out."""
    return [str(c) for c in columns if known_metric(str(c)) and not is_validation(str(c)) and not is_training(str(c))]
