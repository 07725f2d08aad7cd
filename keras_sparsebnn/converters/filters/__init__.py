"""Filters as bytes: packed as in LCE, and as codebook and indices."""
