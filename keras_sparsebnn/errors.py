"""Errors that a user can act on; the command line prints them as one line."""

from __future__ import annotations

__all__ = ["SparseBNNError"]


class SparseBNNError(ValueError):
    """Base of this package's own errors: *Expected X, got Y (where). What to do.*"""
