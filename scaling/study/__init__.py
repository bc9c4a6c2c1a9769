"""What a command does with its cells: says their cost, tunes them, doubles their budget, runs them."""
