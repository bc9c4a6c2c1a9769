"""Chooses the next runs of a sweep by what they tell about its answer, and says when the answer is there."""
