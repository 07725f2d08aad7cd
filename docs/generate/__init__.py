"""Writes what is generated in README.md and docs/; see `__main__`."""
