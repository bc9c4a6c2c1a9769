"""Compares the curves of two families and says where they cross."""
