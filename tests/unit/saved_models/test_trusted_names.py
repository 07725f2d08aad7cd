"""What a saved configuration may name, against what Keras would find by that name."""

from __future__ import annotations

import importlib
import sys

import pytest

from keras_sparsebnn._keras import keras
from keras_sparsebnn.saved_models.trusted_names import untrusted


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "TensorFlowOpLayer", "config": {"node_def": "op: 'WriteFile'"}},
        {"class_name": "ClassMethod", "config": {"function": "nn.relu"}},
        {"class_name": "InstanceMethod", "config": {"method_name": "format"}},
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "x"}},
        {"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
        {"class_name": "Dense", "module": "os", "config": {}},
        {"class_name": "Dense", "module": "keras.layers.os", "config": {}},
        {"class_name": "Dense", "registered_name": "os.popen", "config": {}},
        {"class_name": "QuantConv2D", "registered_name": None, "module": "os"},
        {"class_name": "popen", "registered_name": "SteSign", "module": "os"},
        {"class_name": ["Dense"], "config": {}},
        {"class_name": "function", "module": "os", "config": "relu"},
        {"class_name": "function", "registered_name": "system", "config": "relu"},
        {"class_name": "TFOpLambda", "config": {"function": "math.x.io.write_file"}},
    ],
    ids=lambda entry: str(entry["class_name"]),
)
def test_what_is_on_no_list_is_refused(entry):
    assert list(untrusted({"config": {"layers": [entry]}}))


def test_what_is_accepted_is_a_class_of_keras_that_only_computes():
    """Of everything that a loaded module has, under the name that Keras finds it by."""
    kinds = (
        keras.layers.Layer,
        *(keras.constraints.Constraint, keras.initializers.Initializer),
        *(keras.losses.Loss, keras.metrics.Metric, keras.mixed_precision.Policy),
        *(keras.optimizers.Optimizer, keras.optimizers.legacy.Optimizer),
        keras.optimizers.schedules.LearningRateSchedule,
        keras.regularizers.Regularizer,
    )
    # By "keras." a file means the Keras that is used, whatever else is there.
    own = keras.layers.Layer.__module__.partition(".")[0]
    for name in ("constraints", "initializers", "layers", "losses", "metrics", "optimizers"):
        importlib.import_module(f"{own}.{name}")
    registered = keras.utils.get_custom_objects()
    checked = 0
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in (own, "larq", "keras_sparsebnn"):
            continue
        for attribute, value in list(vars(module).items()):
            entry = {"class_name": attribute, "module": name, "config": {}}
            if attribute in registered or list(untrusted(entry)):
                continue
            checked += 1
            computes = issubclass(value, kinds)
            assert computes or value is keras.mixed_precision.LossScaleOptimizer, entry
            assert not issubclass(value, keras.layers.Lambda), entry
    assert checked > 100
