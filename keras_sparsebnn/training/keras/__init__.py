"""What also works in a plain `model.fit`: callbacks, an optimizer, losses, distillation.

Importing this registers what a saved model may name.
"""

from keras_sparsebnn.training.keras.distillation import DistilledModel
from keras_sparsebnn.training.keras.learning_rate import RestartingDecay
from keras_sparsebnn.training.keras.losses import DistillationLoss, SmoothedCrossEntropy
from keras_sparsebnn.training.keras.optimizer import GroupedOptimizer

__all__ = [
    "DistillationLoss",
    "DistilledModel",
    "GroupedOptimizer",
    "RestartingDecay",
    "SmoothedCrossEntropy",
]
