"""Reads results, and selects and audits the rows that are compared."""
