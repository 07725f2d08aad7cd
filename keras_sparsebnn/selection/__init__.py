"""Algorithms that select codewords; they know no layers."""
