"""Keras against the file: layer by layer, and of what was converted."""
