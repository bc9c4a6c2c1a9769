"""From results to a verdict: rows, then curves, then the crossover. Draws and prints nothing."""
