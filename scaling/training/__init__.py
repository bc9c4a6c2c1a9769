"""One cell in one process: data, model, steps, checkpoints, the record. Needs torch."""
