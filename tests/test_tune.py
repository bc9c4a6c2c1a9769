"""The tuner on errors with a known best value, without training: what it finds, what it costs, and that it is fair."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scaling.compose.composer import Job
from scaling.compose.recipe import Entry, Recipe, read_recipe, recipe_words, write_recipe
from scaling.compose.study_config import TuningConfig
from scaling.config import ConfigError
from scaling.records.cell_fields import known_fields, unfinished_record
from scaling.records.question import Question
from scaling.records.record import FILE_NAME, Record, read_record, write_record
from scaling.study.command import cells_of, read_command
from scaling.study.optimum import Optimum, Trial, find_optimum, fit_rule, mean_errors
from scaling.study.tune import _entry, _find, tune
from scaling.study.tuner import Asked, Tuner

BEST_AT = 1000  # training images


def true_best(model: str, n: int) -> float:
    """The ViT's best rate falls with n, the CNN's does not and lies two coarse steps from its recipe's .1."""
    return 6e-3 * (n / BEST_AT) ** -0.5 if model.startswith("vit") else 1.2


def error_of(job: Job, rng: np.random.Generator) -> float:
    """A parabola in log rate, steeper above, with the binomial noise of n/4 validation images, shared by the rates of
    one seed as far as they see the same images."""
    cell = job.cell
    n = cell.data.train_size
    away = math.log2(cell.optim.lr / true_best(cell.model.name, n))
    error = 3 / math.sqrt(n) * (1 + 0.05 * away**2 * (2 if away > 0 else 1))
    shared = np.random.default_rng([n, cell.seed]).normal()
    sd = math.sqrt(error * (1 - min(error, 0.9)) / max(40, n // 4))
    return float(np.clip(error + sd * (0.7 * shared + 0.5 * rng.normal()), 0.001, 0.95))


class Launcher:
    """Writes the records that training would have written."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.rounds: list[list[Job]] = []

    def __call__(self, jobs: Sequence[Job]) -> None:
        self.rounds.append(list(jobs))
        for job in jobs:
            cell = job.cell
            if (cell.folder / FILE_NAME).exists():
                continue
            fields = known_fields(cell, device="cpu", torch_version="0")
            error = error_of(job, self.rng)
            diverged = cell.optim.lr > 5
            names = ("train_error", "val_error", "test_error", "test_loss")
            fields |= dict.fromkeys(names, None if diverged else error)
            fields |= dict(num_params=1, train_flops=1.0, val_examples=max(40, cell.data.train_size // 4))
            fields |= dict(test_examples=4000, train_seconds=1.0, images_per_second=1.0)
            write_record(Record(**fields, status="diverged" if diverged else "finished"), cell.folder)


SIZES = "data.train_size=320,512,896,1536,2560,4096"  # whatever the quickstart's are
LARGER = "data.train_size=512,896,1536,2560,4608,8192"
SWEEP = ["sweeps=quickstart", "data.locality=1", "seed=0,1", SIZES, "wandb=disabled"]


@pytest.fixture
def make_tuner(tmp_path: Path) -> Callable[..., tuple[Tuner, Launcher]]:
    def make(*words: str, seed: int = 0) -> tuple[Tuner, Launcher]:
        launcher = Launcher(seed)
        composer, jobs = read_command([*SWEEP, f"out={tmp_path}", "tune=lr", *words])
        study = composer.study(jobs[0])
        return Tuner(composer, [composer.job(job) for job in jobs], study, launcher), launcher

    return make


@pytest.mark.parametrize(("sizes", "low", "high"), [(SIZES, 320, 4096), (LARGER, 512, 8192)])
def test_finds_the_best_rates_at_half_the_cost_of_a_dense_grid(
    make_tuner: Callable[..., tuple[Tuner, Launcher]], tmp_path: Path, sizes: str, low: int, high: int
) -> None:
    """Within a factor of two of the truth at both ends of the sweep; a dense grid of the same range, two seeds a value
    and steps of a factor sqrt(2), costs more than twice as much. Both families get the same number of trials."""
    tuner, launcher = make_tuner(sizes)
    path = tune(tuner, save=None, command="python -m scaling.train ...")
    recipe = read_recipe(str(path))
    for n in (low, high):
        for entry in recipe.entries:
            ratio = entry.value_at(n) / true_best(entry.model, n)
            assert 0.5 <= ratio <= 2, f"{entry.model} at {n}: {ratio}"
    jobs = [job for jobs in launcher.rounds for job in jobs]
    counts = {m: sum(job.cell.model.name == m for job in jobs) for m in ("vit_w64d2", "resnet8_w8")}
    assert len(set(counts.values())) == 1, counts
    tried = {job.cell.optim.lr for job in jobs if job.cell.model.name == "resnet8_w8"}
    assert max(tried) > 1.6  # its grid began at .1 * 4 ** 2 and had to grow
    values = sum(math.ceil(2 * math.log2(entry.highest / entry.lowest)) + 1 for entry in recipe.entries)
    dense = 2 * len(tuner.tuned_sizes()) * values
    assert len(jobs) < dense / 2
    assert {job.cell.purpose for job in jobs} == {"tune"}
    assert "python -m scaling.train ..." in path.read_text()
    # Run again, nothing is launched that is not there: the same choice comes out.
    again, _ = make_tuner(sizes)
    assert tune(again, save=None, command="python -m scaling.train ...").read_text() == path.read_text()
    # The crossover sweep uses it: the rule's value in every cell, and the sweep file's own grids left out.
    cells = cells_of([*SWEEP, sizes, f"out={tmp_path}", f"recipe={path}"])
    assert len(cells) == 2 * 6 * 2
    for cell in cells:
        entry = next(entry for entry in recipe.entries if entry.model == cell.model.name)
        assert cell.optim.lr == entry.value_at(cell.data.train_size)
        usual = {"vit_w64d2": 6e-3, "resnet8_w8": 0.1}[cell.model.name]
        assert cell.optim.lr == usual or f"optim.lr={cell.optim.lr!r}" in cell.overrides


@pytest.mark.parametrize("seed", range(5))
def test_the_smoothed_optimum_beats_the_lowest_point(seed: int) -> None:
    """Flat curves with noise of a few hundred images: the vertex is nearer the truth than the lucky lowest point is,
    on average over many draws."""
    rng = np.random.default_rng(seed)
    values = [2.0**k for k in range(-4, 5)]
    smooth, lowest = [], []
    for _ in range(40):
        errors = {v: 0.2 * (1 + 0.05 * math.log2(v) ** 2) for v in values}
        trials = [Trial(v, s, error + rng.normal(0, 0.015)) for v, error in errors.items() for s in (0, 1)]
        smooth.append(abs(math.log2(find_optimum(trials, val_examples=256, step=2).value)))
        means = mean_errors(trials)
        lowest.append(abs(math.log2(min(means, key=lambda v: means[v]))))
    assert np.mean(smooth) < np.mean(lowest)
    assert np.mean(smooth) < 0.7


def test_seeds_that_some_values_lack_do_not_bias_the_means() -> None:
    """Seed 1 is harder by .1; the value that it was not run with keeps its place."""
    trials = [Trial(1, 0, 0.2), Trial(1, 1, 0.3), Trial(2, 0, 0.3), Trial(2, 1, 0.4), Trial(4, 0, 0.25)]
    assert mean_errors(trials) == pytest.approx({1: 0.25, 2: 0.35, 4: 0.30})


def _optimum(value: float, spread: float) -> Optimum:
    return Optimum(value, spread, 0.01, value, False)


def test_the_rule_follows_a_power_law_and_ignores_what_is_noise() -> None:
    steep = fit_rule({256: _optimum(8e-3, 0.1), 1024: _optimum(4e-3, 0.1), 4096: _optimum(2e-3, 0.1)})
    assert steep.exponent == pytest.approx(-0.5, abs=0.02)
    assert steep.value_at(16384) == pytest.approx(1e-3, rel=0.05)
    noise = fit_rule({512: _optimum(8e-3, 0.7), 1536: _optimum(5e-3, 0.7)})  # the points alone: -.43
    assert -0.1 < noise.exponent < 0
    assert noise.value == pytest.approx(math.sqrt(8e-3 * 5e-3))
    clamped = fit_rule({512: _optimum(1.0, 0.05), 1024: _optimum(0.1, 0.05)})
    assert clamped.exponent == -1
    assert fit_rule({512: _optimum(8e-3, 0.1)}).exponent == 0


class MadeUpTuner(Tuner):
    """One model's trials on `error_of`'s kind of errors, its best rate moving as n ** exponent; nothing is composed."""

    def __init__(self, sizes: list[int], exponent: float, seed: int) -> None:
        self.key, self.tuning, self.sizes, self.seeds, self.fresh = "optim.lr", TuningConfig(), sizes, [0, 1], [2]
        cell = SimpleNamespace(
            optim=SimpleNamespace(lr=6e-3),
            data=SimpleNamespace(name="strokes", locality=1.0, image_size=18, train_size=1),
            start=None,
            model_label="vit",
            num_classes=10,
        )
        self.templates = {("vit", Question("strokes", 1.0, 18, 10), "scratch"): SimpleNamespace(cell=cell)}  # type: ignore[dict-item]
        self._of_size = {}
        self._rng, self._exponent, self.shared = np.random.default_rng(seed), exponent, {}
        self._off = 2 ** self._rng.uniform(-1.5, 1.5)

    def true_best(self, n: int) -> float:
        return 6e-3 * self._off * (n / 1500) ** self._exponent

    def run(self, asked: Asked) -> None:
        for search, value, seed in asked:
            n, count = search.size, max(40, search.size // 4)
            away = math.log2(value / self.true_best(n))
            error = min(0.85, 3 / math.sqrt(n) * (1 + 0.05 * away**2 * (2 if away > 0 else 1)))
            shared = self.shared.setdefault((n, seed), self._rng.normal())
            noise = math.sqrt(error * (1 - error) / count) * (0.7 * shared + 0.5 * self._rng.normal())
            search.errors.setdefault((value, seed), float(np.clip(error + noise, 0.001, 0.95)))
            search.val_examples = count


@pytest.mark.parametrize(
    ("sizes", "tuned", "held"),
    [
        ([512, 896, 1536, 2560, 4608, 8192], [512, 4608], 8192),  # nine times apart, and the next above them
        ([320, 512, 896, 1536, 2560], [320, 2560], 896),  # nothing above: the middle of the two
        ([100, 200, 400], [100, 400], 200),  # nothing eight times larger: the largest
        ([100, 200], [100, 200], None),
        ([100], [100], None),
    ],
)
def test_the_two_tuned_sizes_are_far_apart(sizes: list[int], tuned: list[int], held: int | None) -> None:
    tuner = MadeUpTuner(sizes, 0, seed=0)
    assert (tuner.tuned_sizes(), tuner.held_size()) == (tuned, held)
    tuner.tuning = TuningConfig(sizes=[512, 1536], held=0)
    assert (tuner.tuned_sizes(), tuner.held_size()) == ([512, 1536], None)


@pytest.mark.parametrize("exponent", [-0.5, -0.25, 0, 0.25])
@pytest.mark.parametrize("sizes", [[320, 512, 896, 1536, 2560, 4096], [512, 896, 1536, 2560, 4608, 8192]])
def test_the_rule_is_within_a_factor_of_two_at_both_ends(sizes: list[int], exponent: float) -> None:
    """In nine of ten draws of the noise, whether the best rate moves with n or not."""
    good = []
    for seed in range(40):
        tuner = MadeUpTuner(sizes, exponent, seed)
        (found,) = _find(tuner)
        entry = _entry(found)
        good.append(all(0.5 <= entry.value_at(n) / tuner.true_best(n) <= 2 for n in (sizes[0], sizes[-1])))
    assert np.mean(good) >= 0.9


def test_a_rule_that_ends_at_its_bound_says_that_it_may_be_far_off() -> None:
    notes = {}
    for exponent in (-2.0, 0.0):
        (found,) = _find(MadeUpTuner([512, 896, 1536, 2560, 4608, 8192], exponent, seed=0))
        notes[exponent] = [note for note in _entry(found).notes if "as steep as rules are taken to be" in note]
    assert notes[-2.0] == [
        "the rule is as steep as rules are taken to be: below n = 512 and above 8192 it may be far off; tuning.sizes="
        " can name sizes there"
    ]
    assert notes[0.0] == []


def test_a_trial_that_failed_stops_the_tuner(make_tuner: Callable[..., tuple[Tuner, Launcher]]) -> None:
    from scaling.study.tuner import TrialFailed

    tuner, _ = make_tuner()
    tuner._launch = lambda jobs: None
    with pytest.raises(TrialFailed, match="nothing was chosen; the same command goes on"):
        tune(tuner, save=None, command="x")

    def fail(jobs: Sequence[Job]) -> None:
        for job in jobs:
            record = unfinished_record(job.cell, "failed", "a\nno room", device="cpu", torch_version="0")
            write_record(record, job.cell.folder)

    tuner._launch = fail
    with pytest.raises(TrialFailed, match=r"failed \(no room\): nothing was chosen; retry=failed goes on"):
        tune(tuner, save=None, command="x")


def test_a_setting_that_cannot_be_tuned_is_refused(make_tuner: Callable[..., tuple[Tuner, Launcher]]) -> None:
    tuner, launcher = make_tuner("tune=label_smoothing")
    with pytest.raises(ConfigError, match="needs a positive number to start from"):
        tune(tuner, save=None, command="x")
    assert not launcher.rounds
    with pytest.raises(ConfigError, match="a setting of optim or model"):
        make_tuner("tune=data.train_size")


def test_a_recipe_clamps_its_rule_and_knows_its_questions(make_cell: Callable, tmp_path: Path) -> None:
    entry = Entry(model="resnet8", data="strokes", locality=1.0, image_size=18, value=0.1, at=1000, exponent=-0.5,
                  smallest=500, largest=4000, lowest=0.06, highest=0.2)  # fmt: skip
    assert [entry.value_at(n) for n in (1000, 500, 100, 4000)] == [0.1, 0.141, 0.141, 0.06]
    path = write_recipe(Recipe(key="optim.lr", entries=(entry,)), tmp_path / "r.yaml", headline="by hand")
    assert read_recipe(str(path)) == Recipe(key="optim.lr", entries=(entry,))
    cell = make_cell("model=resnet8", "data.train_size=1000")
    assert recipe_words([str(path)], cell, []) == ("optim.lr=0.1",)
    assert recipe_words([str(path)], cell, ["optim.lr=3"]) == ()
    with pytest.raises(ConfigError, match=r"has no optim\.lr for vit_w64d2 on strokes"):
        recipe_words([str(path)], make_cell("model=vit_w64d2"), [])


@pytest.mark.parametrize("text", ["key: optim.lr\n", "[1", "key: a.b\nentries: [{model: x}]\n", "entries: 3\n"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not a recipe"):
        read_recipe(str(tmp_path / "r.yaml"))


def test_the_budget_check_doubles_the_steps_next_to_the_crossing(tmp_path: Path) -> None:
    """A report that names a crossing near 1,000 images at locality 1: the sizes beside it, the grids left out."""
    report = tmp_path / "crossover.json"
    key = {"data": "strokes", "locality": 1, "image_size": 18}
    other = {"data": "strokes", "locality": 0, "image_size": 18}
    crossings = [{"size": 1000.0}]
    groups = [{"key": key, "crossings": crossings}, {"key": other, "crossings": [{"size": 400.0}]}]
    report.write_text(json.dumps({"groups": groups}))
    cells = cells_of([*SWEEP, "check=budget", f"check_at={report}"])
    assert {cell.data.train_size for cell in cells} == {896, 1536}
    assert len(cells) == 2 * 2 * 2
    usual = {(c.model.name, c.data.train_size, c.seed, c.optim.lr): c.steps for c in cells_of(SWEEP)}
    for cell in cells:
        steps = usual[cell.model.name, cell.data.train_size, cell.seed, cell.optim.lr]
        assert abs(cell.steps - 2 * steps) <= 1
        assert cell.budget.factor == 2
    named = cells_of([*SWEEP, "check=budget", "check_at=[512]"])
    assert {cell.data.train_size for cell in named} == {512}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check=budget", "check_at=[513]"], "not sizes of this sweep"),
        (["check=budget", "check_at=none.json"], "not a crossover.json"),
        (["check=time"], "is not budget"),
        (["recipe=none"], "neither a file nor a name"),
        (["tune=lr", "check=budget"], "two commands"),
    ],
)
def test_options_that_cannot_be_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cells_of([*SWEEP, *words])


def test_records_say_that_they_were_trials(make_tuner: Callable[..., tuple[Tuner, Launcher]], tmp_path: Path) -> None:
    tuner, _ = make_tuner("tuning.sizes=[512]", "tuning.held=0", "tuning.fresh=0")
    tune(tuner, save=None, command="x")
    found = [read_record(path) for path in tmp_path.rglob(FILE_NAME)]
    assert {record.purpose for record in found} == {"tune"}
    assert {record.train_size for record in found} == {512}
    assert {record.seed for record in found} == {0, 1}


def test_a_recipe_saved_into_conf_is_used_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of conf/: a folder of recipes there must not become a config group that `recipe=` would choose from."""
    from scaling.compose import recipe
    from scaling.study import command, tune

    shutil.copytree(recipe.CONF, tmp_path / "conf")
    (tmp_path / "pyproject.toml").touch()
    for module in (recipe, command, tune):
        monkeypatch.setattr(module, "CONF", tmp_path / "conf")
    path = tune.check_save("mine")
    assert path is not None
    entry = Entry(model="resnet8", data="strokes", locality=1.0, image_size=18, value=0.123, at=1000)
    write_recipe(Recipe(key="optim.lr", entries=(entry,)), path, headline="by hand")
    (cell,) = command.cells_of(["model=resnet8", "recipe=mine"])
    assert cell.optim.lr == 0.123
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(ConfigError, match="an installed package"):
        tune.check_save("mine")
