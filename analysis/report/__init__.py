"""The report of a sweep: a page, figures, tables and crossover.json."""
