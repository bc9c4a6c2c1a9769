"""Train ViTs and CNNs on nested subsets of a data set; one record per run. Free of torch at import."""

__version__ = "0.1.0"
