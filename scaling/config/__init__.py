"""What a cell is: frozen dataclasses, their identity and their name. Free of torch."""

from scaling.config.cell_config import BudgetConfig, CellConfig, ConfigError, DataConfig, OptimConfig, WandbConfig

__all__ = ["BudgetConfig", "CellConfig", "ConfigError", "DataConfig", "OptimConfig", "WandbConfig"]
