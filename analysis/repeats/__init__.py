"""Judges a sweep's answer by the same sweep repeated on other draws of the data."""
