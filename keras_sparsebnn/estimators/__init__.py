"""Gradient estimators, one paper a file."""

from keras_sparsebnn.estimators.pattern_refinement import refined_patterns, refinement_ste
from keras_sparsebnn.estimators.permutation_ste import (
    nearest_codeword_ste,
    permutation_ste,
    select_ste,
)

__all__ = [
    "nearest_codeword_ste",
    "permutation_ste",
    "refined_patterns",
    "refinement_ste",
    "select_ste",
]
