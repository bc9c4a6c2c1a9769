"""Says which family to use at a given amount of data, and which runs would tell more."""
