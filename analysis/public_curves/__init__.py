"""Compares the verdict on the first part of public curves with what came later."""
