"""Transforms of models: copies with other layers or weights, new statistics."""
