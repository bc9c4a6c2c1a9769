"""Hydra launcher `pool`: the project's own workers, which stay alive between cells (scaling.sweep.pool)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher


@dataclass
class PoolLauncherConfig:
    _target_: str = "hydra_plugins.scaling_plugins.pool_launcher.PoolLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConfig, provider="scaling")


class PoolLauncher(Launcher):
    """What the sweeper `cells` takes as the word to run its cells itself; other sweepers launch through it, and get
    each cell's validation error as its objective."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.loader, self.config = hydra_context.config_loader, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from scaling.compose.composer import Composer
        from scaling.study.search import objectives
        from scaling.sweep.runners import local_runner

        with local_runner() as runner:
            found = objectives(Composer(self.loader, self.config), job_overrides, runner)
        ends = []
        for words, value in zip(job_overrides, found, strict=True):
            ends.append(JobReturn(overrides=list(words), status=JobStatus.COMPLETED))
            ends[-1].return_value = value
            if isinstance(value, Exception):
                ends[-1].status = JobStatus.FAILED
        return ends
