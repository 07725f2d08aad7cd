"""Which binary layer of a network has how many groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras_sparsebnn._rules import GROUPS, SEARCHED, check
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers.layer_codewords import LayerNumbers

__all__ = ["Groups", "LayerGroups"]

Groups = int | Sequence[int] | Mapping[str, int] | str
"""One number for all layers; one for each, in their order; a mapping of layer names and glob
patterns; or "search", for a supernet of all."""


class LayerGroups:
    """Numbers of groups, by layer.

    Args:
        groups: see `Groups`.

    Raises:
        SparseBNNError: none of these; later, for a sequence of another length, or a mapping
            that misses a layer or has a key for none.

    Example:
        >>> groups = LayerGroups([1, 4])
        >>> groups("first"), groups("second")
        (1, 4)
        >>> groups.check_all_were_used()
    """

    def __init__(self, groups: Groups) -> None:
        groups = list(groups) if isinstance(groups, tuple) else groups
        check("groups", groups, GROUPS)
        self.searched = groups == SEARCHED
        self._list = groups if isinstance(groups, list) else None
        self._asked = 0
        numbers = groups if isinstance(groups, int | Mapping) else 1
        self._numbers = LayerNumbers(numbers, "groups")

    def __call__(self, layer: str) -> int:
        """The number of groups of the next layer; 1 where they are searched."""
        self._asked += 1
        if self._list is None:
            return self._numbers(layer)
        # Too short: how many it takes is known at the end.
        return self._list[self._asked - 1] if self._asked <= len(self._list) else 1

    def check_all_were_used(self) -> None:
        """To be called when all layers have asked."""
        self._numbers.check_every_key_was_used()
        if self._list is not None and len(self._list) != self._asked:
            raise SparseBNNError(
                f"Expected `groups` of {self._asked} binary layers, got {len(self._list)}."
            )
