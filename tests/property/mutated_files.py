"""Runs mutated .tflite files through everything that reads one; see `test_mutated_files`.

    python mutated_files.py SEED FIRST LAST

File i depends on SEED and i alone. Lines on stdout: `file I` before each, so that whoever
started this knows which one killed it; its stages; and `wrong I: ...` if it broke a rule.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_sparsebnn.converters import (
    compress,
    convert_file,
    expand,
    inspect,
    quantize_weights,
)
from keras_sparsebnn.converters.int8_layers import Range
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.runtime import Interpreter
from keras_sparsebnn.runtime.lce_backend import lce_installed
from keras_sparsebnn.runtime.worker import random_inputs
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read, write_tables
from keras_sparsebnn.tflite_file.flexbuffer import read_map, write_map
from keras_sparsebnn.tflite_file.schema import SCHEMA
from tests.shortcut_model import Shortcut
from tests.stem_model import Stem, in_int8

GOLDEN = Path(__file__).parents[1] / "golden"
MEMORY_BYTES = 6 << 30
SECONDS = 10
RUNTIMES = ("delegate", "litert", *(["lce"] if lce_installed() else []))


def seeds() -> list[bytes]:
    """The golden files and small models with every operator of ours, and some of TFLite's."""
    files = [path.read_bytes() for path in sorted(GOLDEN.glob("*.tflite"))]
    builder = ModelBuilder()
    x = builder.activation([1, 6, 6, 40], "float32")
    bits, pooled = (builder.activation([1, side, side, 2], "int32") for side in (6, 3))
    words = builder.constant(np.zeros((64, 3, 3, 2), np.int32))
    ones = [builder.constant(np.ones(64, np.float32)) for _ in range(2)]
    y, z = (builder.activation([1, 3, 3, n], "float32") for n in (64, 8))
    signs = builder.activation([1, 3, 3, 64], "float32")
    packed = builder.activation([1, 3, 3, 2], "int32")
    weights = builder.constant(np.ones((8, 1, 1, 64), np.float32))
    bias = builder.constant(np.zeros(8, np.float32))
    flat, shape = builder.activation([1, 72], "float32"), builder.constant(np.int32([1, 72]))
    out = builder.activation([1, 5], "float32")
    dense = builder.constant(np.ones((5, 72), np.float32))
    strides = {f"stride_{side}": 1 for side in ("height", "width")}
    window = {"padding": 0, "filter_width": 2, "filter_height": 2}
    convolution = {
        **strides,
        "channels_in": 40,
        **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
        **{"fused_activation_function": 0, "pad_values": 1, "padding": 0},
    }
    builder.operator("LceQuantize", [x], [bits])
    pool = {**window, "stride_height": 2, "stride_width": 2}
    builder.operator("LceBMaxPool2d", [bits], [pooled], pool)
    builder.operator("LceBconv2d", [pooled, words, *ones, -1], [y], convolution)
    builder.operator("LceQuantize", [y], [packed])
    builder.operator("LceDequantize", [packed], [signs])
    options = Table("Conv2DOptions", stride_w=1, stride_h=1, fused_activation_function=1)
    builder.operator("CONV_2D", [signs, weights, bias], [z], options)
    builder.operator("RESHAPE", [z, shape], [flat], Table("ReshapeOptions", new_shape=[1, 72]))
    builder.operator(
        "FULLY_CONNECTED", [flat, dense, -1], [out], Table("FullyConnectedOptions")
    )
    builder.root["signature_defs"] = [
        Table(
            "SignatureDef",
            inputs=[Table("TensorMap", name="image", tensor_index=x)],
            outputs=[Table("TensorMap", name="logits", tensor_index=out)],
            signature_key="serving_default",
        )
    ]
    plain = builder.to_bytes([x], [out])
    return [*files, plain, compress(plain), quantize_weights(plain), *edges()]


def edges() -> list[bytes]:
    """Beginnings of networks and shortcuts, as float, with int8 weights and in int8."""
    floats = [
        Stem((1, 9, 9, 3), (16, 3, 3), stride=(2, 2), pool=(3, 2)).bytes(),
        Stem((1, 9, 9, 3), (24, 3, 3), stride=(2, 2), depthwise=True).bytes(),
        Shortcut((1, 6, 6, 16), 32).bytes(),
        Shortcut((1, 6, 6, 16), None, window=(3, 3)).bytes(),
    ]
    ranges = [Range(0.02, 3), Range(0.1, -4)]
    int8 = [in_int8(floats[i], ranges) for i in (0, 2)]
    return [*floats, *map(quantize_weights, floats), *int8]


FILES = seeds()
WORDS = (0, 1, 2, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFC, 0x10000000)


def mutated(seed: int, number: int) -> bytes:
    """One damaged file."""
    rng = np.random.default_rng([seed, number])
    flat = FILES[rng.integers(len(FILES))]
    kind = rng.integers(8)
    if kind == 0:
        return flat[: rng.integers(len(flat))]
    if kind <= 2:
        data = bytearray(flat)
        for place in rng.integers(0, len(flat), rng.integers(1, 6)):
            if kind == 1:
                data[place] = rng.integers(256)
            else:
                place = place // 4 * 4
                data[place : place + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
        return bytes(data)
    root = read(flat).root
    for _ in range(rng.integers(1, 4)):
        mutate(root, rng)
    return write_tables(root)


def mutate(root: Table, rng: np.random.Generator) -> None:
    """Changes one field of one table to something extreme, absent, or another's."""
    tables = [root]
    for table in tables:  # grows
        for value in table.fields.values():
            tables += value if isinstance(value, list) else []
            tables += [value] if isinstance(value, Table) else []
    # Each kind alike: there are more tensors than anything else.
    kind = rng.choice(sorted({table.kind for table in tables if SCHEMA[table.kind]}))
    table = rng.choice([table for table in tables if table.kind == kind])
    field = SCHEMA[kind][rng.integers(len(SCHEMA[kind]))]
    value = table.fields.get(field.name)
    if rng.integers(6) == 0:
        table.fields.pop(field.name, None)
    elif field.scalar and not field.vector:
        table[field.name] = extreme(field.type, rng)
    elif field.name == "custom_options":
        table["custom_options"] = changed_options(table, rng)
    elif field.scalar:
        size = len(value) if value is not None else 0
        old = list(value) if value is not None else []
        change = rng.integers(4)
        if change == 0 and size:
            old[rng.integers(size)] = extreme(field.type, rng)
        elif change == 1:
            old = old[: rng.integers(size + 1)]
        elif change == 2:
            old = [*old, *(extreme(field.type, rng) for _ in range(rng.integers(1, 5)))]
        else:
            rng.shuffle(old)
        table[field.name] = np.array(old, field.type)
    elif field.type == "text":
        table[field.name] = rng.bytes(rng.integers(40))
    elif isinstance(value, list) and value:
        change = rng.integers(4)
        place = rng.integers(len(value))
        if change == 0:
            del value[place]
        elif change == 1:
            value.append(value[place])
        elif change == 2:
            value.insert(0, value[place])
        else:
            rng.shuffle(value)


def extreme(type: str, rng: np.random.Generator) -> int | np.float32:
    if type == "<f4":
        return np.float32(rng.choice([0, -1, np.nan, np.inf, -np.inf, 1e-45, 3e38]))
    limits = np.iinfo(type)
    near = int(rng.integers(-3, 40))
    values = [limits.min, limits.max, limits.max // 2, near, near, near, 65536, 2**20]
    return max(limits.min, min(limits.max, values[rng.integers(len(values))]))


def changed_options(operator: Table, rng: np.random.Generator) -> bytes:
    data = bytearray(operator.vector("custom_options").tobytes())
    if not data or rng.integers(3) == 0:
        for place in rng.integers(0, len(data), 2) if data else ():
            data[place] = rng.integers(256)
        return bytes(data)
    options = {name: v for name, v in read_map(bytes(data)).items() if type(v) is int}
    name = rng.choice(sorted(options) or ["channels_in"])
    near = int(rng.integers(-3, 70))
    values = (
        0,
        2**31 - 1,
        -(2**31),
        2**31,
        2**62,
        -(2**63),
        2**63,
        2**64 - 1,
        near,
        near,
        near,
    )
    options[str(name)] = values[rng.integers(len(values))]
    return write_map(options)


def result_of(function: Callable[..., Any], flat: bytes, *args: Any, **options: Any) -> Any:
    """Its result; None if it refuses, in one line."""
    copy = bytes(bytearray(flat))
    start = time.process_time()
    message = "nothing"
    try:
        return function(*args, **options)
    except SparseBNNError as error:
        message = str(error)
    finally:
        assert time.process_time() - start < SECONDS, "too long"
        assert flat == copy, "the caller's bytes have changed"
        assert message.strip(), "an error without a message"
        assert "\n" not in message, message
    return None


def converts(flat: bytes) -> None:
    """What the converters make of it."""
    report = result_of(inspect, flat, flat)
    if report is not None:
        assert sum(report.bytes_by_kind.values()) == len(flat)
        assert str(report)
    packed = result_of(compress, flat, flat)
    if packed is not None and packed is not flat:
        assert len(packed) < len(flat)
        assert read(expand(packed)).root == read(flat).root
    for function in (expand, quantize_weights):
        result = result_of(function, flat, flat)
        assert result is None or result is flat or read(result).to_bytes()
    for format in ("lce", "subbit"):
        for weights in ("float", "int8"):
            result_of(convert_file, flat, flat, format, weights=weights)


def runs(flat: bytes) -> None:
    """What the interpreters make of it."""
    for runtime in RUNTIMES:
        print(runtime, "loads", flush=True)
        interpreter = result_of(Interpreter, flat, flat, runtime=runtime)
        if interpreter is None:
            continue
        if sum(np.prod(shape, dtype=float) for shape in interpreter.input_shapes) < 1e6:
            inputs = random_inputs(interpreter)
            print(runtime, "runs", flush=True)
            result_of(interpreter.predict, flat, inputs)


def main() -> None:
    seed, first, last = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    fail_at = int(os.environ.get("SPARSEBNN_TEST_FAIL_AT", "-1"))
    for number in range(first, last):
        print("file", number, flush=True)
        flat = mutated(seed, number)
        for check in (converts, runs):
            try:
                assert number != fail_at or check is runs, "asked for"
                check(flat)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                text = " ".join(str(error).split())[:200]
                line = f"{Path(where.filename).name}:{where.lineno}"
                print(f"wrong {number}: {type(error).__name__} at {line}: {text}")
        if number == fail_at:
            os.abort()


if __name__ == "__main__":
    main()
