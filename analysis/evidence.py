"""Puts answers from several tables beside each other: one figure of who leads at how many images, and one table.

python -m analysis.evidence list=results/evidence.yaml out=docs/figures/evidence.png

The list is YAML: by the name of a group, labels with the words of `python -m analysis.report` that answer one question:

    From scratch:
      CIFAR-10, 16 pixels: results=results/cifar10_small/results.csv filters.locality=1
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from analysis.arguments import InputError, parse_table, run_command

USAGE = """usage: python -m analysis.evidence list=FILE.yaml [out=evidence.png]

Draws a strip per question of the list: who leads at how many images, how surely, and where they cross. Prints a
Markdown table of the same answers.
  list=FILE.yaml       groups of `label: words of python -m analysis.report`, one question each; paths from here
  out=evidence.png     the figure"""
_OWN = ("list", "out")


def read_list(path: Path) -> list[tuple[str, str, dict[str, str]]]:
    """(group, label, words) of every question in the list.

    Raises:
        InputError: it is no such list.
    """

    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"list={path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(own, dict) and own for own in found.values()):
        raise InputError(f"list={path}: not groups of `label: words`")
    rows = []
    for group, own in found.items():
        for label, text in own.items():
            words = [word.partition("=") for word in shlex.split(str(text))]
            if not all(equals and key for key, equals, _ in words):
                raise InputError(f"list={path}, {label}: {text} is not made of key=value")
            rows.append((str(group), str(label), {key: value for key, _, value in words}))
    return rows


def _row(label: str, crossover: Any) -> str:
    from analysis.estimator.crossover.wording import LABELS

    verdict, models = crossover.verdict, crossover.families.models
    sizes = crossover.families.sizes(models["vit"], models["cnn"]) if models["vit"] and models["cnn"] else None
    if sizes is None:
        return f"| {label} | | {LABELS[verdict.verdict]} | | |"
    ends = crossover.p_vit_better([sizes.low, sizes.high])
    failed = ", ".join(check.code for check in crossover.failed_checks) if crossover.audited else ""
    text = LABELS[verdict.verdict] + (f" (held back: {failed})" if failed else "")
    for crossing in verdict.claimed:
        low, high = (f"{x:,.3g}" if x and x < 1000 else f"{x:,.0f}" if x else "open" for x in crossing.interval)
        text += f" near {crossing.size:,.0f} ({low} to {high})"
    return f"| {label} | {sizes.low:,.0f} to {sizes.high:,.0f} | {text} | {ends[0]:.2f} | {ends[1]:.2f} |"


def run(words: dict[str, str]) -> int:
    if "list" not in words:
        raise InputError("list= is missing; --help explains")
    out = Path(words.get("out", "evidence.png"))
    if out.suffix.lower() != ".png":
        raise InputError(f"out={out}: not .png")
    rows = read_list(Path(words["list"]))
    from analysis.estimator.crossover.questions import answer_all
    from analysis.estimator.rows.table import read_results
    from analysis.figures.leaders import Strip, draw_leaders

    strips = []
    for group, label, given in rows:
        arguments = parse_table(given)
        found = answer_all(arguments, read_results(arguments))
        if len(found) != 1:
            raise InputError(f"list={words['list']}, {label}: {len(found)} questions; filters.X=VALUE keeps one")
        strips.append(Strip(group, label, found[0]))
    draw_leaders(strips, out)
    group = ""
    for strip in strips:
        if strip.group != group:
            print(f"{chr(10) if group else ''}| {strip.group} | measured | verdict | P(ViT better) first | last |")
            print("|---|---|---|---|---|")
        group = strip.group
        print(_row(strip.label, strip.crossover))
    print(f"\n{out}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, _OWN, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
