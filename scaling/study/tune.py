"""`tune=SETTING`: finds a setting for every model of a sweep on validation error, and writes the recipe.

The searches (tuner.py) give an optimum at each of two sizes; a rule through them is tried at a held size, and the
chosen values are run with fresh seeds. The trials are cells of the sweep's own folder, so that the report shows the
grids.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.compose.paths import CONF
from scaling.compose.recipe import Entry, Recipe, write_recipe
from scaling.config import ConfigError
from scaling.records.words import round_setting
from scaling.study.optimum import STEEPEST, Optimum, Rule, find_optimum, fit_rule, mean_errors
from scaling.study.tuner import Asked, Asker, Search, Tuner, asker_of, setting


@dataclass(frozen=True)
class Found:
    """The rule of one model on one question, and what it rests on."""

    asker: Asker
    rule: Rule
    searches: list[Search]
    optima: dict[int, Optimum]
    notes: tuple[str, ...]


def _check_held(tuner: Tuner, found: Found, held: Search) -> Found:
    """Says whether the rule holds at a size that it was not fitted to, and fits it again with that size."""
    predicted = round_setting(found.rule.value_at(held.size))
    means = mean_errors(held.trials)
    optimum = find_optimum(held.trials, val_examples=held.val_examples, step=tuner.tuning.factor)
    best = optimum.best_tried
    text = f"held: at n = {held.size} the rule's {predicted:g} has validation error {means[predicted]:.3f}"
    if means[predicted] - means[best] <= 2 * optimum.noise:
        text += f", not clearly worse than any of {min(means):g} to {max(means):g}"
    else:
        text += f", and {best:g} has {means[best]:.3f}: the rule of the other sizes does not hold there"
    optima = found.optima | {held.size: optimum}
    notes = (*found.notes, f"{text}; it was then fitted with this size, too")
    return Found(found.asker, fit_rule(optima), [*found.searches, held], optima, notes)


def _find(tuner: Tuner) -> list[Found]:
    searches = tuner.searches(tuner.tuned_sizes())
    tuner.search(searches)
    found = []
    for asker in tuner.templates:
        mine = [search for search in searches if asker_of(search.template) == asker]
        optima = {search.size: search.optimum() for search in mine}
        notes = tuple(
            f"at n = {n} the best value tried, {o.best_tried:g}, is at the edge of its grid"
            for n, o in optima.items()
            if o.at_edge
        )
        found.append(Found(asker, fit_rule(optima), mine, optima, notes))
    size = tuner.held_size()
    if size is not None:
        held = tuner.searches([size])
        asked: Asked = []
        for search, one in zip(held, found, strict=True):
            value = round_setting(one.rule.value_at(size))
            factor = tuner.tuning.factor
            asked += [(search, round_setting(v), tuner.seeds[0]) for v in (value / factor, value, value * factor)]
        tuner.run(asked)
        tuner.grow(held)
        tuner.even_out(held)
        found = [_check_held(tuner, one, search) for one, search in zip(found, held, strict=True)]
    return found


def _entry(found: Found) -> Entry:
    model, asked, init = found.asker
    sizes, tried = [s.size for s in found.searches], [t.value for s in found.searches for t in s.trials]
    notes = found.notes
    if abs(found.rule.exponent) >= STEEPEST:
        notes += (
            f"the rule is as steep as rules are taken to be: below n = {min(sizes)} and above {max(sizes)} it may be"
            " far off; tuning.sizes= can name sizes there",
        )
    return Entry(
        model=model, data=asked.data, locality=asked.locality, image_size=asked.image_size, init=init,
        value=round_setting(found.rule.value), at=round_setting(found.rule.at), exponent=round(found.rule.exponent, 3),
        # Beyond a factor of four from the sizes that were looked at, the rule is not taken to be valid.
        smallest=min(sizes) / 4, largest=max(sizes) * 4, lowest=min(tried), highest=max(tried),
        trials=sum(len(s.errors) for s in found.searches),
        optima=tuple((n, round_setting(o.value)) for n, o in sorted(found.optima.items())), notes=notes,
    )  # fmt: skip


def _run_fresh(tuner: Tuner, entries: Sequence[Entry]) -> list[Entry]:
    """The chosen values once more, with seeds that no trial had: an error that was not picked for being low."""
    if not tuner.fresh:
        return list(entries)
    by_asker = dict(zip(tuner.templates, entries, strict=True))
    searches = tuner.searches(tuner.tuned_sizes())
    chosen = [(search, by_asker[asker_of(search.template)].value_at(search.size)) for search in searches]
    tuner.run([(search, value, seed) for search, value in chosen for seed in tuner.fresh])
    noted = []
    for asker, entry in by_asker.items():
        mine = [search for search in searches if asker_of(search.template) == asker]
        texts = [f"{statistics.mean(search.errors.values()):.3f} at n = {search.size}" for search in mine]
        note = f"fresh seeds {', '.join(map(str, tuner.fresh))}: validation error {', '.join(texts)}"
        noted.append(Entry(**{**vars(entry), "notes": (*entry.notes, note)}))
    return noted


def _say(entries: Sequence[Entry], key: str) -> str:
    lines = []
    for e in entries:
        power = f" x (n / {e.at:g})^{e.exponent:g}" if e.exponent else " at every size"
        optima = ", ".join(f"{value:g} at n = {n}" for n, value in e.optima)
        tuned = " fine-tuned" if e.init == "pretrained" else ""
        lines.append(
            f"{e.model}{tuned} on {e.data}, locality {e.locality:g}: {key} = {e.value:g}{power} ({e.trials} trials)"
        )
        lines.append(f"  best: {optima}; tried {e.lowest:g} to {e.highest:g}")
        lines += [f"  {note}" for note in e.notes]
    return "\n".join(lines)


def check_save(name: str | None) -> Path | None:
    """Where `tuning.save` goes.

    Raises:
        ConfigError: this is an installed package, whose conf/ is not the user's to change.
    """
    if name is None:
        return None
    if not (CONF.parent / "pyproject.toml").is_file():
        raise ConfigError(f"tuning.save={name} writes to conf/ of a checkout, and this is an installed package")
    return CONF / "recipes" / f"{name}.yaml"


def tune(tuner: Tuner, *, save: str | None, command: str) -> Path:
    """Tunes, prints what was found and returns the recipe's path.

    Raises:
        TrialFailed: a trial has no result.
        ConfigError: the setting cannot be tuned.
    """
    copy = check_save(save)
    for job in tuner.templates.values():
        setting(job.cell, tuner.key)
    entries = _run_fresh(tuner, [_entry(found) for found in _find(tuner)])
    cell = next(iter(tuner.templates.values())).cell
    recipe = Recipe(key=tuner.key, entries=tuple(entries))
    text = f"Chosen on validation error by: {command}\nUse it with recipe=FILE."
    path = Path(cell.out) / cell.sweep / "recipe" / f"{tuner.key.split('.')[-1]}.yaml"
    for target in filter(None, (path, copy)):
        write_recipe(recipe, target, headline=text)
    print(_say(entries, tuner.key))
    print(f"recipe: {path}" + (f" and {copy}" if copy else ""))
    return path
