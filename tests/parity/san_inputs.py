"""Deterministic images and targets of SAN's goldens, in integer arithmetic: the same bytes on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import RGBImage

IMAGES = {"a": (480, 640, 11), "sq": (640, 640, 33)}  # height, width, seed
VOCABULARY = ["cat", "dog", "mug", "bird", "sky", "grass"]
CELL = 40


def make_image(height: int, width: int, seed: int) -> RGBImage:
    """A coarse grid of random colours, bilinear in fixed point; twelve rectangles; noise in [-12, 12].

    The draws happen in exactly this order on one RandomState.
    """
    stream = np.random.RandomState(seed)
    grid = stream.randint(0, 256, size=(height // CELL + 2, width // CELL + 2, 3)).astype(np.int64)
    y, x = np.arange(height), np.arange(width)
    y0, x0 = y // CELL, x // CELL
    fy, fx = (y % CELL)[:, None, None], (x % CELL)[None, :, None]
    above = grid[y0][:, x0] * (CELL - fx) + grid[y0][:, x0 + 1] * fx
    below = grid[y0 + 1][:, x0] * (CELL - fx) + grid[y0 + 1][:, x0 + 1] * fx
    image = (above * (CELL - fy) + below * fy + CELL * CELL // 2) // (CELL * CELL)
    for _ in range(12):
        top, left = stream.randint(0, height - 60), stream.randint(0, width - 60)
        tall, wide = stream.randint(40, 160), stream.randint(40, 160)
        image[top : top + tall, left : left + wide] = stream.randint(0, 256, size=3)
    image = image + stream.randint(-12, 13, size=image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def make_target(size: int = 640) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Labels (4,) and disjoint masks (4, size, size) of the loss golden; some pixels belong to none."""
    stream = np.random.RandomState(44)
    masks = np.zeros((4, size, size), np.uint8)
    cuts = np.sort(stream.randint(60, size - 60, size=2))
    masks[0, : cuts[0]] = 1
    masks[1, cuts[0] : cuts[1], : size // 2] = 1
    masks[2, cuts[0] : cuts[1], size // 2 :] = 1
    masks[3, cuts[1] : size - 30, 50 : size - 70] = 1
    return np.array([0, 1, 3, 4]), masks
