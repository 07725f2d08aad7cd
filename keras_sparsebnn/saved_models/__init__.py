"""Loads trained models from files that need not be trusted."""

from keras_sparsebnn.saved_models.loading import load_model, model_file

__all__ = ["load_model", "model_file"]
