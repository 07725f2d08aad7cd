"""Measurements, run from the checkout's root: `python -m benchmarks.speed.startup`."""
