"""Training: callbacks, checkpoints, runs."""
