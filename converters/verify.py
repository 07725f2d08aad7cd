"""Does a .tflite compute what the Keras model computes? On your own inputs, layer by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["VerificationError", "VerifyReport", "verify"]


class VerificationError(SparseBNNError):
    """The file computes something else than the model.

    Attributes:
        layer: the first layer that differs; None if the file cannot be this model's at all.
    """

    def __init__(self, message: str, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` measured; every layer agreed, or there would be no report.

    Attributes:
        samples: how many inputs were compared.
        max_abs_difference: largest `|Keras - file|` over all outputs, end to end.
        max_step_difference: largest of any intermediate result, each Keras layer being given
            what the file computed for its inputs.
        tolerance: the bound that this largest difference kept to.
        argmax_agreement: share of samples with the same arg max, over all outputs that have
            one.
        sign_flips: binarised activations whose sign differs end to end, because rounding moved
            a value across zero.
        flipped_samples: samples with any of those.
    """

    samples: int
    max_abs_difference: float
    max_step_difference: float
    tolerance: float
    argmax_agreement: float
    sign_flips: int
    flipped_samples: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"Keras = file on {self.samples} samples: arg max agrees on "
            f"{100 * self.argmax_agreement:.2f} %, largest difference "
            f"{self.max_abs_difference:.3g} end to end and {self.max_step_difference:.3g} step "
            f"by step (tolerance {self.tolerance:.3g}); rounding flipped {self.sign_flips} "
            f"signs in {self.flipped_samples} samples."
        )


def verify(model: Any, flat: bytes, inputs: Any, *, batch_size: int = 16) -> VerifyReport:
    r"""Compares a Keras model with its converted file on `inputs`.

    A value within rounding error of zero may get another sign in the file than in Keras, and
    then everything after it differs by far more than rounding. Such a flip is no bug, but a
    bug looks the same at the output. So both are run in step: each Keras layer is given what
    the file computed for its inputs, and its output is looked for among the file's tensors.
    Bit-packed tensors must agree exactly, except where Keras's value is within its rounding
    error of zero; floats within the rounding error

    `2 gamma_n S`,  `gamma_n = n u / (1 - n u)`,  `u = 2^-24`,

    where n is how many roundings the result has been through since the last value that both
    share, and S is the same sum over magnitudes, `sum |w| |x|` for a convolution: the standard
    bound for any order of summation, once for Keras and once for the file (Higham, "Accuracy
    and Stability of Numerical Algorithms", 2002, section 3.1).

    Args:
        model: the Keras model, as trained or frozen; compared is its frozen float32 form.
        flat: the .tflite file's bytes.
        inputs: an array, a list of arrays in the order of the model's inputs, or a dictionary
            by input name; samples along the first axis.
        batch_size: samples compared at a time; memory grows with it.

    Raises:
        VerificationError: they differ; the message and `.layer` name the first layer.
        ModelFileError: the file is damaged.
        SparseBNNError: the inputs do not fit the model.
    """
    # TensorFlow loads here, so that converters.inspect does without.
    from keras_sparsebnn.converters.lockstep import compare

    return compare(model, flat, inputs, batch_size)
