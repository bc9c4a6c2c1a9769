"""What a cell is: frozen dataclasses, their identity and their name. Free of torch."""

from scaling.config.budget_config import BudgetConfig, OptimConfig
from scaling.config.cell_config import CellConfig, ConfigError, DataConfig, ProbeConfig, WandbConfig

__all__ = ["BudgetConfig", "CellConfig", "ConfigError", "DataConfig", "OptimConfig", "ProbeConfig", "WandbConfig"]
