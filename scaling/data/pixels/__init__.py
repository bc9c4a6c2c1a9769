"""Pictures are decoded once, into a cache that all runs share. Free of torch."""
