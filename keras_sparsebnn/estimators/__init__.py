"""Gradient estimators, one paper a file."""

from keras_sparsebnn.estimators.approx_sign import approx_identity
from keras_sparsebnn.estimators.ir_net import ede_identity, standardized
from keras_sparsebnn.estimators.pattern_refinement import refined_patterns, refinement_ste
from keras_sparsebnn.estimators.permutation_ste import (
    nearest_codeword_ste,
    permutation_ste,
    select_ste,
)
from keras_sparsebnn.estimators.rbonn import bilinear_ste, neglected, noting_identity
from keras_sparsebnn.estimators.straight_through import clipped_identity
from keras_sparsebnn.estimators.structured_logits import position_ste

__all__ = [
    "approx_identity",
    "bilinear_ste",
    "clipped_identity",
    "ede_identity",
    "nearest_codeword_ste",
    "neglected",
    "noting_identity",
    "permutation_ste",
    "position_ste",
    "refined_patterns",
    "refinement_ste",
    "select_ste",
    "standardized",
]
