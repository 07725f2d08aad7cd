"""One resumable run: its folder, loop, checkpoints and strategies."""
