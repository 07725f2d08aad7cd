"""What `verify` measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_sparsebnn.converters.verification.file_outputs import WeightsReport

__all__ = ["VerifyReport"]


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` measured. There is a report only if every layer agreed.

    Attributes:
        samples: number of inputs that were compared.
        max_abs_difference: largest `|Keras - LCE|` over all outputs, end to end.
        max_step_difference: largest difference of any intermediate result, where each Keras
            layer is given what the file computed for its inputs.
        tolerance: the bound that applied to this largest difference.
        argmax_agreement: share of samples with the same arg max, over all outputs that have
            one.
        sign_flips: number of binarised activations whose sign differs end to end, because
            rounding moved a value across zero.
        flipped_samples: number of samples with at least one of them.
        compared: the runtimes that were found equal to Keras, in this order.
        int8_weights: what rounding weights or layers to 8 bits changes; None if all is float.
    """

    samples: int
    max_abs_difference: float
    max_step_difference: float
    tolerance: float
    argmax_agreement: float
    sign_flips: int
    flipped_samples: int
    compared: tuple[str, ...] = ("LCE",)
    int8_weights: WeightsReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        text = (
            f"{' = '.join(('Keras', *self.compared))} on {self.samples} samples"
            f"{' in float' if self.int8_weights else ''}: arg max of "
            f"Keras and LCE agrees on {100 * self.argmax_agreement:.2f} %, largest difference "
            f"{self.max_abs_difference:.3g} end to end and {self.max_step_difference:.3g} step "
            f"by step (tolerance {self.tolerance:.3g}); rounding flipped {self.sign_flips} "
            f"signs in {self.flipped_samples} samples."
        )
        return f"{text}\n{self.int8_weights}" if self.int8_weights else text
