"""Pages of results: every command says what stands below it, and every public table has its source."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from analysis.arguments import parse_table
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.questions import answer_all
from analysis.estimator.crossover.wording import verdict_sentence
from analysis.estimator.rows.table import read_results

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "public-tables"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
QUOTED = re.compile(r"```\n(python -m analysis\.report .*)\n```\n((?:>.*\n)+)")
COMMANDS = QUOTED.findall(PAGE)
OTHERS = ("docs/findings.md", "results/cifar10_small/README.md")
# Per section of the page: the verdict of its first command, and the checks that held it back.
HELD, FREE = ("not_identifiable", {"sizes"}), ("not_identifiable", set())
VERDICTS = {1: HELD, 2: HELD, 3: FREE, 4: HELD, 5: HELD, 6: HELD, 7: ("cnn_ahead", set()), 8: FREE, 9: FREE}
VERDICTS |= {10: HELD, 11: HELD}


def said_by(command: str) -> list[Crossover]:
    arguments = parse_table(dict(word.split("=", 1) for word in shlex.split(command)[3:]))
    return answer_all(arguments, read_results(arguments))


def quoted(quote: str) -> list[str]:
    return [line.removeprefix("> ") for line in quote.splitlines() if line != ">"]


@pytest.mark.parametrize(("command", "quote"), COMMANDS)
def test_each_command_says_what_stands_below_it(command: str, quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = said_by(command)
    assert [verdict_sentence(crossover) for crossover in found] == quoted(quote)
    section = int(re.findall(r"(?m)^## (\d+)$", PAGE[: PAGE.index(command)])[-1])
    if "audit=off" not in command:
        assert {(c.verdict.verdict, frozenset(k.code for k in c.failed_checks)) for c in found} == {
            (VERDICTS[section][0], frozenset(VERDICTS[section][1]))
        }


@pytest.mark.parametrize("page", OTHERS)
def test_pages_that_rest_on_records_say_what_their_commands_say(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    known = dict(COMMANDS)
    found = QUOTED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(found) >= 4
    for command, quote in found:
        if command in known:  # judged above
            assert quote == known[command]
        else:
            assert [verdict_sentence(crossover) for crossover in said_by(command)] == quoted(quote)


def test_each_table_has_a_source_a_command_and_a_row() -> None:
    tables = {path.name for path in FOLDER.glob("*.csv")}
    assert len(tables) >= 10
    sources = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    assert tables == set(re.findall(r"(?m)^\| `([\w-]+\.csv)`", sources))
    assert tables == {Path(re.findall(r"results=(\S+)", command)[0]).name for command, _ in COMMANDS}
    rows, sections = re.findall(r"(?m)^\| \[(\d+)\]\(#", PAGE), re.findall(r"(?m)^## (\d+)$", PAGE)
    assert rows == sections == [str(i) for i in VERDICTS]
