"""Drives a design over all questions of a sweep: from results to the next runs, with a line for every decision.

One budget serves all questions: the next run is the one that tells most per second, whichever question it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.design.designer import DesignEnd, DesignQuestion, DesignState, next_run
from analysis.design.gain import NextRun
from analysis.design.plan_file import Plan
from analysis.design.space import Candidate, Space, Target, opening
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.rows.metric import Metric, metric_of
from scaling.records.files import duration


@dataclass(frozen=True)
class _Seen:
    """A question as it was when so many of its runs had ended."""

    ended: frozenset[str]
    state: DesignState
    crossover: Crossover | None
    end: DesignEnd | None


@dataclass
class Driver:
    """`say` prints a line. Call `more` for the next runs, whenever there is room for one."""

    space: Space
    target: Target
    plan: Plan
    say: Callable[[str], None] = print
    metric: Metric = field(default_factory=lambda: metric_of("test_error"))
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _ends: dict[str, DesignEnd] = field(default_factory=dict)

    def more(self, rows: pd.DataFrame, running: Collection[str], room: int, elapsed: float) -> list[str]:
        """The names of the next runs, at most `room` and what has to come along; none: wait, or it is over.

        Args:
            rows: of the sweep that have ended, whatever came of them.
            running: names of the runs under way.
            elapsed: wall time spent on this sweep so far, seconds.
        """
        ended = set(rows["name"]) if len(rows) else set()
        by_name = {c.name: c for c in self.space.candidates}
        pending = [n for n in self.plan.chosen if n in by_name and n not in ended and n not in running]
        if pending:  # chosen by a command that was stopped
            return pending[: max(room, 1)]
        first = [c.name for c in opening(self.space)]
        if not set(first) <= set(self.plan.chosen):
            names = [n for n in first if n not in self.plan.chosen]
            self._note(names, "opening", f"opening: every model once at the smallest sizes, {len(names)} runs")
            return [n for n in names if n not in ended and n not in running][: max(room, 1)]
        if not set(first) <= ended:
            return []
        busy = [by_name[n] for n in running if n in by_name]
        picked: list[str] = []
        while len(picked) < room:
            choice, seen = self._next(rows, ended, busy)
            if choice is None or seen is None:
                break
            if elapsed + choice.seconds / max(room + len(busy), 1) > self.target.cost:
                self._stop_all(DesignEnd("cost", f"the budget of {duration(self.target.cost)} is spent"))
                break
            question = self._question(choice.candidate.question)
            due = question.due(ended, {c.name for c in busy}, choice.candidate)
            self._tell(choice, seen, due, elapsed)
            picked += [c.name for c in due]
            busy += due
        return [n for n in picked if n not in ended]

    def outlook(self, rows: pd.DataFrame) -> list[str]:
        """What the design would do next, and what it expects of it; nothing is written."""
        ended = set(rows["name"]) if len(rows) else set()
        first = [c for c in opening(self.space) if c.name not in ended]
        if first:
            total = sum(c.seconds for c in first)
            names = ", ".join(f"{c.size:,.0f} x {c.model}" for c in first[:4])
            whole = f"{total / self.space.seconds:.0%} of the whole space's training time"
            return [f"first: every model once at the smallest sizes, {len(first)} runs, {whole} ({names}, ...)"]
        lines = []
        for name in self.space.questions:
            seen = self._look(name, rows, ended)
            where = f"{name}: " if len(self.space.questions) > 1 else ""
            if seen.end is not None:
                lines.append(f"{where}{seen.end.reason}: {seen.end.text}")
            elif seen.crossover is not None:
                choice = next_run(self._question(name), seen.crossover, ended, [])
                if choice is not None:
                    lines.append(where + _line(choice, seen.state, 1))
        return lines

    @property
    def ends(self) -> dict[str, DesignEnd]:
        """By question why it needs no more runs."""
        return self._ends

    def states(self) -> dict[str, DesignState]:
        return {name: seen.state for name, seen in self._seen.items()}

    def _question(self, name: str) -> DesignQuestion:
        return DesignQuestion(name, self.space.of(name), self.target, self.metric)

    def _look(self, name: str, rows: pd.DataFrame, ended: set[str]) -> _Seen:
        question = self._question(name)
        own = frozenset(c.name for c in question.candidates if c.name in ended)
        seen = self._seen.get(name)
        if seen is None or seen.ended != own:
            seen = self._seen[name] = _Seen(own, *question.judge(rows[rows["name"].isin(own)]))
        return seen

    def _next(
        self, rows: pd.DataFrame, ended: set[str], busy: Sequence[Candidate]
    ) -> tuple[NextRun | None, _Seen | None]:
        best: tuple[NextRun | None, _Seen | None] = (None, None)
        for name in self.space.questions:
            if name in self._ends:
                continue
            seen = self._look(name, rows, ended)
            if seen.end is not None:
                self._stop(name, seen.end)
                continue
            running = [c for c in busy if c.question == name]
            question = self._question(name)
            if seen.crossover is None:  # a model has no curve: failed runs; the next sizes, cheapest first
                left = [c for c in question.left(ended) if c not in running and not c.grid]
                choice = NextRun(min(left, key=lambda c: (c.seconds, c.name)), 0.0, 1.0) if left else None
            else:
                choice = next_run(question, seen.crossover, ended, running)
            if choice is not None and (best[0] is None or _rate(choice) > _rate(best[0])):
                best = choice, seen
        return best

    def _tell(self, choice: NextRun, seen: _Seen, due: Sequence[Candidate], elapsed: float) -> None:
        c, state = choice.candidate, seen.state
        verdict = state.verdict.verdict if state.verdict is not None else None
        seconds = sum(d.seconds for d in due)
        where = f"{c.question}: " if len(self.space.questions) > 1 else ""
        line = where + _line(choice, state, len(due))
        facts = {"bits": round(state.bits, 6), "gain": round(choice.gain, 6), "seconds": round(seconds, 3)}
        known = {"runs": state.runs, "spent": round(state.seconds, 3), "verdict": verdict, "width": state.width}
        extra = {} if self.target.cost == float("inf") else {"elapsed": round(elapsed, 1)}
        self._note([d.name for d in due], c.question, line, **facts, **known, **extra)

    def _note(self, names: list[str], question: str, line: str, **facts: object) -> None:
        self.plan.append({"choose": names, "question": question, "line": line, **facts})
        self.say(line)

    def _stop(self, name: str, end: DesignEnd) -> None:
        if name in self._ends:
            return
        self._ends[name] = end
        seen = self._seen.get(name)
        facts: dict[str, object] = {}
        if seen is not None and seen.state.verdict is not None:
            state = seen.state
            facts = {"runs": state.runs, "spent": round(state.seconds, 3), "width": state.width,
                     "verdict": seen.state.verdict.verdict, "bits": round(state.bits, 6)}  # fmt: skip
        entry = {"end": end.reason, "question": name, "line": end.text, **facts}
        if not any(e == entry for e in self.plan.entries):
            self.plan.append(entry)
        where = f"{name}: " if len(self.space.questions) > 1 else ""
        self.say(f"{where}{end.reason}: {end.text}")

    def _stop_all(self, end: DesignEnd) -> None:
        for name in self.space.questions:
            self._stop(name, end)


def _line(choice: NextRun, state: DesignState, runs: int) -> str:
    c = choice.candidate
    width = f"interval {10**state.width:.2g} times" if state.width is not None else "no closed interval yet"
    verdict = state.verdict.verdict if state.verdict is not None else "no curve yet"
    more = f", with {runs - 1} runs of its learning rates" if runs > 1 else ""
    head = f"{c.size:,.0f} x {c.model} x seed {c.seed}{more}, {duration(choice.seconds)}"
    return f"{head}: {verdict}, {width}; {state.bits:.3f} bits open, {choice.gain:.3f} expected of it"


def _rate(choice: NextRun) -> float:
    return choice.gain / choice.seconds
