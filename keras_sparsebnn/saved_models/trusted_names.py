"""What the configuration of a saved model may name: the classes and functions on these lists.

Keras looks a `class_name` up in whatever module the file names, takes functions for classes,
and follows dots through a module's imports, so `os.popen` can be an activation. A list of what
is forbidden can never be whole. So everything has to be on a list of what is allowed, by the
name and the module that Keras would look it up by, or the file is refused.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from types import ModuleType

from keras_sparsebnn._keras import keras

__all__ = ["untrusted"]

_PACKAGES = ("keras", "tf_keras", "larq", "keras_sparsebnn")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Layers that compute on tensors and nothing else. Not here: those that hold code (Lambda), any
# operation by its name (TensorFlowOpLayer), or the path of a file (StringLookup, TFSMLayer).
_LAYERS = _names(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
    AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization BatchNormalizationV1
    BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
    ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization HashedCrossing
    Hashing Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU LocallyConnected1D
    LocallyConnected2D Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum
    MultiHeadAttention Multiply Normalization PReLU Permute RNN RandomBrightness RandomContrast
    RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom
    ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN
    SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    SpectralNormalization StackedRNNCells Subtract ThresholdedReLU TimeDistributed
    UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
    """
)
_MODELS = frozenset({"Functional", "Model", "Sequential"})
# Operations on Keras tensors (`x + 1`, tf.nn.relu(x)) are saved by TensorFlow's name for them.
_OPERATIONS = frozenset({"TFOpLambda", "SlicingOpLambda"})
_TRUSTED_OPERATION = re.compile(r"(__operators__|math|nn)\.\w+")
_VALUES = frozenset({"__numpy__", "__tensor__"})
_NAME = re.compile(r"(\w+>)?\w+")


def _public(module: ModuleType, base: type) -> frozenset[str]:
    """The classes of a module of Keras's API that are of one kind."""
    classes = inspect.getmembers(module, inspect.isclass)
    return frozenset(name for name, cls in classes if issubclass(cls, base))


def _functions(*modules: ModuleType) -> frozenset[str]:
    found = {name for m in modules for name, _ in inspect.getmembers(m, inspect.isfunction)}
    return frozenset(found - {"deserialize", "get", "serialize"})


@functools.cache
def _classes() -> Mapping[str, frozenset[str]]:
    """Module, without the prefix "tf_" -> the classes that a file may name there."""
    optimizers = keras.optimizers
    return {
        "keras": _MODELS,
        "keras.models": _MODELS,
        # Classes that are not public are saved by the module that they are in.
        "keras.engine.functional": _MODELS,
        "keras.src.engine.functional": _MODELS,
        "keras.layers": _LAYERS,
        "keras.layers.core.tf_op_layer": _OPERATIONS,
        "keras.src.layers.core.tf_op_layer": _OPERATIONS,
        "keras.constraints": _public(keras.constraints, keras.constraints.Constraint),
        "keras.initializers": _public(keras.initializers, keras.initializers.Initializer),
        "keras.regularizers": _public(keras.regularizers, keras.regularizers.Regularizer),
        "keras.mixed_precision": frozenset({"LossScaleOptimizer", "Policy"}),
        # Of a compiled model within the model; the model's own is not read.
        "keras.losses": _public(keras.losses, keras.losses.Loss),
        "keras.metrics": _public(keras.metrics, keras.metrics.Metric),
        "keras.optimizers": _public(optimizers, optimizers.Optimizer),
        "keras.optimizers.legacy": _public(optimizers.legacy, optimizers.legacy.Optimizer),
        "keras.optimizers.schedules": _public(
            optimizers.schedules, optimizers.schedules.LearningRateSchedule
        ),
    }


@functools.cache
def _known_functions() -> frozenset[str]:
    return _functions(keras.activations, keras.losses, keras.metrics)


def _registered(name: object) -> bool | None:
    """Whether what is registered by this name is ours, larq's or Keras's; None: nothing is."""
    found = keras.utils.get_custom_objects().get(name) if isinstance(name, str) else None
    if found is None:
        return None
    return str(getattr(found, "__module__", "")).partition(".")[0] in _PACKAGES


def _class_is_trusted(entry: Mapping[str, object]) -> bool:
    """Whether every class that Keras could take this entry for is on a list.

    The formats look it up by different keys: the present one by `registered_name`, then by
    `class_name` in `module`; the earlier one by `class_name` alone. So each has to hold.
    """
    kind, module = entry["class_name"], entry.get("module")
    key = entry.get("registered_name", kind)
    for name in (kind, key):
        if name is None and name is key:
            continue
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return False
        if _registered(name) is False:
            return False
        if _registered(name) is None and not any(name in c for c in _classes().values()):
            return False
    if _registered(key) or module is None:
        return True
    return isinstance(module, str) and kind in _classes().get(module.removeprefix("tf_"), ())


def _function_is_trusted(entry: Mapping[str, object]) -> bool:
    name, module = entry.get("config"), entry.get("module")
    key = entry.get("registered_name")
    for each in (name, key):
        if each is key and each in (None, "function"):  # Keras's own way to say nothing
            continue
        if not isinstance(each, str) or _registered(each) is False:
            return False
        if _registered(each) is None and each not in _known_functions():
            return False
    return bool(_registered(name)) or module in (None, "builtins")


def _operation(entry: Mapping[str, object]) -> str:
    config = entry.get("config")
    return str(config.get("function", "") if isinstance(config, dict) else config)


def _of_entry(entry: Mapping[str, object]) -> Iterator[str]:
    kind, module = entry["class_name"], entry.get("module")
    if not isinstance(kind, str):
        yield "a class without a name"
    elif kind in ("Lambda", "__lambda__"):
        yield "Lambda"
    elif kind == "function":
        if not _function_is_trusted(entry):
            yield f"{module}.{entry.get('config')}"
    elif kind in _VALUES:
        pass
    elif not _class_is_trusted(entry):
        yield f"{module}.{kind}" if isinstance(module, str) else str(kind)
    elif kind in _OPERATIONS and not _TRUSTED_OPERATION.fullmatch(_operation(entry)):
        yield _operation(entry)


def untrusted(value: object) -> Iterator[str]:
    """Everything in a configuration, parsed from JSON, that is on no list.

    Example:
        >>> list(untrusted({"class_name": "Popen", "module": "subprocess", "config": {}}))
        ['subprocess.Popen']
        >>> list(untrusted({"class_name": "Dense", "module": "keras.layers", "config": {}}))
        []
    """
    if isinstance(value, list):
        # An input of a layer that no layer makes: numbers, in a list or not.
        if value[:1] == ["_CONSTANT_VALUE"] and not _is_numeric(value[2:3]):
            yield "a constant that is not a number"
        for item in value:
            yield from untrusted(item)
    elif isinstance(value, dict):
        if "class_name" in value:
            yield from _of_entry(value)
        for key, item in value.items():
            if not (key == "module" or (key == "class_name" and isinstance(item, str))):
                yield from untrusted(item)


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return value is None or isinstance(value, (bool, int, float))
