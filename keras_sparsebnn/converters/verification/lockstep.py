"""A Keras model and its LCE file, run in step: see `verify`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.converters.errors import VerificationError
from keras_sparsebnn.converters.filters.packed import unpack
from keras_sparsebnn.converters.verification.exposed_tensors import ExposedInterpreter
from keras_sparsebnn.converters.verification.layer_calls import LayerCall, run_layer_by_layer
from keras_sparsebnn.converters.verification.model_ends import (
    Inputs,
    as_arrays,
    input_order,
    output_tensors,
)
from keras_sparsebnn.converters.verification.report import VerifyReport
from keras_sparsebnn.converters.verification.rounding import Bound, Roundings
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.tflite_file import Model, read
from keras_sparsebnn.transforms.freezing import freeze

__all__ = ["compare"]

Floats = npt.NDArray[np.float32]


_LAYERS_IN_ONE_OPERATOR = 3
"""Convolution, batch norm, activation: more do not fuse, except in rare patterns (GELU)."""


_MAX_BATCH_BYTES = 512 * 2**20
"""What the tensors of one batch may take; a single sample may take more."""

_COPIES = 4
"""The file's tensors, Keras's, what bounds their errors, and what is at work on them."""


@dataclass(frozen=True)
class _Step:
    """What is known of a tensor.

    Attributes:
        bound: its rounding error.
        since: the layers before it since the last that were found in the file.
        signs_found: whether the file has its signs, bit-packed.
        own: Keras's own result and what is known of it, where the file's has replaced it.
    """

    bound: Bound
    since: tuple[str, ...] = ()
    signs_found: bool = False
    own: tuple[tf.Tensor, _Step] | None = None


class _Lockstep:
    """One batch. `visit` replaces each layer's output by the file's, where the file has it.

    A result is found in the file if a tensor there has its shape and, within the rounding
    error, its values: no names are needed, and it does not matter what is fused with what.
    """

    def __init__(
        self,
        roundings: Roundings,
        file: Model,
        tensors: dict[int, npt.NDArray[Any]],
        steps: Mapping[int, float],
    ) -> None:
        self.roundings = roundings
        self.tensors = tensors
        self._int8_steps = steps
        self.signs = _SignRecorder()
        # (difference, tolerance) of each of the file's tensors that was found.
        self.differences: dict[int, tuple[float, float]] = {}
        self._steps: dict[int, _Step] = {}  # by id of the tensor, as long as that lives
        self._order: dict[str, int] = {}
        self._found_signs: set[int] = set()
        self._producers = {
            tensor: operator.inputs
            for operator in file.subgraphs[0].operators
            for tensor in operator.outputs
        }

    def visit(self, call: LayerCall) -> tf.Tensor:
        self.signs.visit(call)
        if not tf.is_tensor(call.output) or call.output.dtype != tf.float32:
            return call.output
        self._order.setdefault(call.path, len(self._order))
        before = [self.step(x) for x in call.inputs if x.dtype == tf.float32]
        output, step = self._result(call, before)
        if step.own is None and len(before) == len(call.inputs) == 1 and before[0].own:
            # With a large bound, a convolution may be near what the file has after its batch
            # norm. Then it was no match, and the batch norm of Keras's own result is one.
            value, known = before[0].own
            repeated = LayerCall(
                call.layer, call.path, (value,), call.repeat(value), call.repeat
            )
            result = self._result(repeated, [known])
            if result[1].own is not None:
                output, step = result
        self._steps[id(output)] = step
        # Keras drops a tensor after its last use; what is known of it goes with it.
        weakref.finalize(output, self._steps.pop, id(output), None).atexit = False
        return output

    def _result(self, call: LayerCall, before: list[_Step]) -> tuple[tf.Tensor, _Step]:
        """The call's result, the file's where it has it, and what is known of it."""
        bound = self.roundings.after(call, [step.bound for step in before])
        value = call.output.numpy()
        tolerance = bound.tolerance()
        takes_signs = getattr(call.layer, "input_quantizer", None) is not None
        since = {
            path
            for step in before
            if not (takes_signs and step.signs_found)
            for path in step.since
        }
        ordered = tuple(sorted({*since, call.path}, key=self._order.__getitem__))
        own = call.output, _Step(bound, ordered)
        near = [
            index
            for index, held in self.tensors.items()
            if held.dtype == np.float32
            and held.shape == value.shape
            and _agree(value, held, tolerance + self._int8_step(index))
        ]
        if near and (len(since) <= _LAYERS_IN_ONE_OPERATOR or not self._unexplained(near[0])):
            for index in near:
                self._note_difference(index, value, tolerance + self._int8_step(index))
            held = self.tensors[near[0]]
            return tf.constant(held), _Step(Bound.exact(held), own=own)
        for index, words in self.tensors.items():
            negative = _unpacked(words, value)
            if negative is None:
                continue
            flipped = negative != (value < 0)
            if not (flipped & (np.abs(value) > tolerance)).any():
                self._found_signs.add(index)
                size = np.maximum(np.abs(value), np.finfo(np.float32).tiny)
                signed = np.where(flipped, np.where(negative, -size, size), value)
                return tf.constant(signed), _Step(bound, ordered, signs_found=True)
        return own

    def _int8_step(self, tensor: int) -> float:
        """What rounding to int8 may add: near the middle between two integers, one step."""
        return 1.001 * self._int8_steps.get(tensor, 0.0)

    def _note_difference(self, tensor: int, value: Floats, tolerance: Floats) -> None:
        if not value.size:
            self.differences[tensor] = 0.0, 0.0
            return
        distance = np.abs(value - self.tensors[tensor])
        at = int(np.argmax(distance))
        allowed = float(np.broadcast_to(tolerance, value.shape).flat[at])
        nearest = self.differences.get(tensor, (np.inf, 0.0))
        self.differences[tensor] = min(nearest, (float(distance.flat[at]), allowed))

    def step(self, tensor: tf.Tensor) -> _Step:
        known = self._steps.get(id(tensor))
        return known or _Step(Bound.exact(tensor.numpy()))

    def _unexplained(self, tensor: int) -> bool:
        """Whether the file computes it from a result that no layer had.

        Over many layers the rounding error is a loose bound. Then a fused operator may be
        believed, as nothing lies in between, but not a chain of results that all differ.
        """
        return any(
            index in self.tensors
            and index in self._producers
            and index not in self.differences
            and index not in self._found_signs
            for index in self._producers.get(tensor, ())
        )


class _SignRecorder:
    """The signs that binary layers see, call by call."""

    def __init__(self) -> None:
        self.packed: list[npt.NDArray[np.uint8]] = []

    def visit(self, call: LayerCall) -> tf.Tensor:
        if getattr(call.layer, "input_quantizer", None) is not None:
            negative = call.inputs[0].numpy() < 0
            self.packed.append(np.packbits(negative.reshape(len(negative), -1), axis=1))
        return call.output


def _agree(value: Floats, held: Floats, tolerance: Floats) -> bool:
    with np.errstate(invalid="ignore"):
        near = np.abs(value - held) <= tolerance
    same = (value == held) | (np.isnan(value) & np.isnan(held))
    return bool((near | same).all())


def _unpacked(words: npt.NDArray[Any], value: Floats) -> npt.NDArray[np.bool_] | None:
    """The words' bits if they may be the signs of `value`."""
    channels = value.shape[-1]
    if words.dtype != np.int32 or words.shape != (*value.shape[:-1], -(-channels // 32)):
        return None
    return unpack(words, channels)


def compare(
    model: keras.Model,
    flat: bytes,
    inputs: Inputs,
    batch_size: int,
    runtime: str,
    progress: Callable[[int], object] = lambda samples: None,
) -> VerifyReport:
    """See `verify`; the file, LCE's, runs in `runtime`, "lce" or "delegate".

    `progress` is told the number of samples of each batch when it is done.
    """
    frozen = freeze(model)
    file = read(flat)
    arrays = as_arrays(frozen, inputs)
    order = input_order(frozen, file)
    places = output_tensors(frozen, file)
    interpreter = ExposedInterpreter(file, runtime)
    samples = len(arrays[0])
    if samples % interpreter.batch:
        raise SparseBNNError(
            f"Expected a multiple of {interpreter.batch} samples, the file's batch, got "
            f"{samples}. Pass that many."
        )
    roundings = Roundings(frozen, int8=bool(interpreter.steps))
    largest = step_largest = tolerance = 0.0
    agreeing = comparable = flips = flipped_samples = 0
    affordable = _MAX_BATCH_BYTES // (_COPIES * max(1, interpreter.bytes_per_sample))
    size = max(1, min(batch_size, affordable) // interpreter.batch) * interpreter.batch
    for start in range(0, samples, size):
        batch = [x[start : start + size] for x in arrays]
        given = [batch[i] for i in order]
        tensors = interpreter.run(given)
        for i, seen in zip(order, interpreter.as_seen(given), strict=True):
            batch[i] = seen
        feeds = [tf.constant(x, y.dtype) for x, y in zip(batch, frozen.inputs, strict=True)]
        free_signs = _SignRecorder()
        free = run_layer_by_layer(frozen, feeds, free_signs.visit)
        lockstep = _Lockstep(roundings, file, tensors, interpreter.steps)
        forced = run_layer_by_layer(frozen, feeds, lockstep.visit)
        for end, (in_step, alone, place) in enumerate(zip(forced, free, places, strict=True)):
            held = tensors[place]
            step = lockstep.step(in_step)
            if not np.array_equal(in_step.numpy(), held, equal_nan=True):
                raise _difference(frozen.output_names[end], in_step.numpy(), held, step)
            if not held.size:
                continue
            largest = max(largest, _largest(alone.numpy(), held))
            if held.ndim > 1 and held.shape[-1] > 1:
                same = alone.numpy().argmax(-1) == held.argmax(-1)
                agreeing += int(same.sum())
                comparable += same.size
        largest_step = max(lockstep.differences.values(), default=(0.0, 0.0))
        step_largest, tolerance = max((step_largest, tolerance), largest_step)
        differing = [
            np.unpackbits(a ^ b, axis=1).sum(axis=1, dtype=np.int64)
            for a, b in zip(free_signs.packed, lockstep.signs.packed, strict=True)
        ]
        if differing:
            per_sample = np.sum(differing, axis=0)
            flips += int(per_sample.sum())
            flipped_samples += int(np.count_nonzero(per_sample))
        progress(len(batch[0]))
    return VerifyReport(
        samples=samples,
        max_abs_difference=largest,
        max_step_difference=step_largest,
        tolerance=tolerance,
        argmax_agreement=agreeing / comparable if comparable else 1.0,
        sign_flips=flips,
        flipped_samples=flipped_samples,
    )


def _largest(value: Floats, held: Floats) -> float:
    return float(np.max(np.abs(value.astype(np.float64) - held)))


def _difference(output: str, value: Floats, held: Floats, step: _Step) -> VerificationError:
    if value.shape != held.shape:
        return VerificationError(
            f"Expected output {output} of shape {value.shape}, got {held.shape}. "
            "Is the file this model's?"
        )
    layer = step.since[0] if step.since else output
    return VerificationError(
        f"Expected the file to compute what the model does, got a difference of "
        f"{_largest(value, held):.3g} at output {output}; the first layer that differs is "
        f"{layer}. Convert the model again: is the file this model's?",
        layer,
    )
