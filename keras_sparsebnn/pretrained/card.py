"""A model card as text, from `card.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_markdown"]


def as_markdown(card: Mapping[str, Any]) -> str:
    """The card for people.

    Example:
        >>> from keras_sparsebnn.pretrained import load
        >>> as_markdown(load("digits").card).splitlines()[0]
        '# digits'
    """
    data, made, shape = card["data"], card["made"], card["input"]["shape"]
    rows = [
        f"| `{name}` | {file['bytes']:,} | {file['accuracy']:.2%} |"
        for name, file in card["files"].items()
    ]
    lines = [
        f"# {card['name']}",
        "",
        f"{card['description']} Network `{card['network']}`, n = {card['codewords']} codewords "
        f"a layer, {card['bits_per_weight']:.2f} bits a binary weight.",
        "",
        "| file | bytes | test accuracy |",
        "| --- | ---: | ---: |",
        *rows,
        "",
        f"Measured on all {data['test_images']:,} test images, from these files, through the "
        "delegate.",
        "",
        f"Input: {'x'.join(map(str, shape))}, pixels from 0 to {card['input']['maximum']} "
        "scaled to [-1, 1]. Output: a logit a class, in the order of `labels.txt`, which is in "
        f"a zip behind each model: {', '.join(card['labels'])}.",
        "",
        f"Data: {data['source']} Training: {data['training']} `samples.npy`: a test image of "
        "each class, the first that all three files classify right.",
        "",
        f"Licence of the data: {data['licence']} The model: Apache-2.0, as this package.",
        "",
        "Limits:",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        f"Made by `{made['command']}`, {made['date']}, {made['processor']}, TensorFlow "
        f"{made['tensorflow']}, commit {made['commit']}. Settings: `run.json`.",
    ]
    return "\n".join(lines) + "\n"
