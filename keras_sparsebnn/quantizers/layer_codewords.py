"""Which binary layer of a network gets how many codewords, or groups."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.subset_kernel import validate_codewords

__all__ = ["LayerCodewords", "LayerNumbers"]


class LayerNumbers:
    """One number for all layers, or a mapping of layer names and glob patterns to numbers.

    A layer's own name takes precedence over patterns; of several patterns that match, the
    first counts.

    Args:
        numbers: one, or `{"stage0_*": 128, "stage3_3": 8, "*": 32}`.
        what: the name of the argument that they come from.

    Raises:
        SparseBNNError: for a layer that no key matches, or a key that matches no layer.
    """

    def __init__(self, numbers: int | Mapping[str, int], what: str) -> None:
        self._numbers = numbers
        self._what = what
        self._layers: list[str] = []
        self._used: set[str] = set()

    def __call__(self, layer: str) -> int:
        """The number of the layer with that name."""
        self._layers.append(layer)
        n = self._numbers
        if not isinstance(n, Mapping):
            return n
        keys = [key for key in n if key == layer]
        keys += [key for key in n if fnmatchcase(layer, key)]
        if not keys:
            raise SparseBNNError(
                f"Expected `{self._what}` to name every binary layer, got no key for layer "
                f'{layer} in {", ".join(n) or "an empty mapping"}. Add "*" for all others.'
            )
        self._used.add(keys[0])
        return n[keys[0]]

    def check_every_key_was_used(self) -> None:
        """To be called when all layers have asked."""
        if not isinstance(self._numbers, Mapping):
            return
        unused = [key for key in self._numbers if key not in self._used]
        if unused:
            raise SparseBNNError(
                f"Expected every key of `{self._what}` to apply to a layer, got {unused[0]!r}, "
                f"which applies to none of {', '.join(self._layers) or 'no binary layers'}. "
                "The first pattern that matches counts."
            )


class LayerCodewords(LayerNumbers):
    """n of each layer, see `LayerNumbers`.

    Example:
        >>> choose = LayerCodewords({"first": 128, "*": 32})
        >>> choose("first"), choose("second")
        (128, 32)
        >>> choose.check_every_key_was_used()
    """

    def __init__(self, codewords: int | Mapping[str, int]) -> None:
        super().__init__(codewords, "codewords")

    def __call__(self, layer: str) -> int:
        """The n of the layer with that name."""
        return validate_codewords(super().__call__(layer), where=f"layer {layer}")
