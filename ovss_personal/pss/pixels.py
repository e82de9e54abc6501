"""From photos and masks to what the network is fed, as published: cropped for training, stretched for evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.pss.album import Labels
from ovss_personal.pss.classes import IGNORE, MEAN, STD
from ovss_personal.structures import RGBImage

if TYPE_CHECKING:
    from torch import Tensor

EVALUATION_SIDE = 480
SCALES = (0.5, 2.0)  # of the crop: the longer side of a training photo


def normalised(images: Sequence[RGBImage]) -> Tensor:
    """(H, W, 3) uint8 pictures of one size -> (B, 3, H, W) float32."""
    import torch

    pixels = np.stack(images).astype(np.float32) / 255
    whitened = (pixels - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(whitened.transpose(0, 3, 1, 2)))


def resized(image: RGBImage, size: tuple[int, int]) -> RGBImage:
    """Bicubic; `size` is (height, width)."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def nearest(labels: npt.NDArray[np.integer], size: tuple[int, int]) -> Labels:
    """The label above and left of each target pixel, as OpenCV has it; `size` is (height, width)."""
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * (1 / (new / old))).astype(np.intp), old - 1)
        for new, old in zip(size, labels.shape, strict=True)
    )
    found: Labels = labels[rows[:, None], columns].astype(np.uint8)
    return found


def training_crop(
    rng: np.random.Generator, image: RGBImage, labels: Labels | None, crop: int = 320
) -> tuple[RGBImage, Labels]:
    """(crop, crop) of a photo at a random scale, half the time mirrored, padded right and below where it is small.

    Args:
        labels: (H, W); the result's are 255 wherever there is none.
    """
    height, width = image.shape[:2]
    longer = int(rng.integers(int(SCALES[0] * crop), int(SCALES[1] * crop) + 1))
    size = (
        (longer, _half_up(longer * width / height)) if height >= width else (_half_up(longer * height / width), longer)
    )
    size = (max(1, size[0]), max(1, size[1]))
    padded = (max(size[0], crop), max(size[1], crop))
    picture = np.empty((*padded, 3), np.uint8)
    picture[:] = np.round(255 * np.asarray(MEAN))
    picture[: size[0], : size[1]] = resized(image, size)
    truth = np.full(padded, IGNORE, np.uint8)
    if labels is not None:
        truth[: size[0], : size[1]] = nearest(labels, size)
    top, left = (int(rng.integers(0, side - crop + 1)) for side in padded)
    box = slice(top, top + crop), slice(left, left + crop)
    step = -1 if rng.random() < 0.5 else 1
    return np.ascontiguousarray(picture[box][:, ::step]), np.ascontiguousarray(truth[box][:, ::step])


def evaluation_size(sizes: Sequence[tuple[int, int]], side: int = EVALUATION_SIDE) -> tuple[int, int]:
    """(height, width) that a batch of photos of these (height, width) is stretched to: the shorter side is `side`."""
    height, width = (sum(size[axis] for size in sizes) for axis in (0, 1))
    if height > width:
        return math.floor(side * height / width), side
    return side, math.floor(side * width / height)


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)
