"""What `load` accepts. Imports no TensorFlow: run.json and the command line use it, too."""

from __future__ import annotations

__all__ = ["AUGMENTATIONS", "IMAGE_SIZES", "RESIZED_CROPS"]

AUGMENTATIONS = (
    *("none", "shift", "flip_shift", "crop", "crop_flip"),
    *("resized_crop", "resized_crop_lighting"),
)
"""`shift`: by up to 1/8 of height and width, edges repeated; `flip_shift`: mirrored, too.
`crop`: padded with 4 black pixels on each side, then cropped to its size, the standard for
CIFAR; `crop_flip`: mirrored, too. `resized_crop`: a random part of 8 to 100 % of the area,
resized, and mirrored, the standard for ImageNet; `resized_crop_lighting`: its colours shift
along their principal components, too, as in ReActNet's recipe."""

RESIZED_CROPS = ("resized_crop", "resized_crop_lighting")
"""Those that crop whole images in training, and test on the centre of a larger image."""

IMAGE_SIZES = (4, 1024)
"""The smallest and the largest `image_size`."""
