"""Experiments: resumable runs of a matrix, and their statistics. Imports no TensorFlow."""

from keras_sparsebnn.experiments.matrix import Matrix, Run
from keras_sparsebnn.experiments.results import Result, read_results
from keras_sparsebnn.experiments.runner import Outcome, run_matrix
from keras_sparsebnn.experiments.statistics import (
    Difference,
    detectable_difference,
    paired_difference,
    seeds_needed,
)

__all__ = [
    "Difference",
    "Matrix",
    "Outcome",
    "Result",
    "Run",
    "detectable_difference",
    "paired_difference",
    "read_results",
    "run_matrix",
    "seeds_needed",
]
