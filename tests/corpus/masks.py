"""Masks in every form that tools write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from corpus.pictures import HEIGHT, WIDTH

MASK = np.zeros((HEIGHT, WIDTH), dtype=bool)
MASK[3:15, 5:20] = True
"""(24, 40) bool, 180 pixels."""


def write_mask(path: Path, mask: np.ndarray = MASK, mode: str = "L255") -> Path:
    """`mask` as a picture: 1, L1 (0/1), L255 (0/255), P, LA, I;16, I, RGB, RGBA (alpha) or RGBA-opaque."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ones = mask.astype(np.uint8)
    if mode == "P":
        picture = Image.fromarray(ones)
        picture.putpalette([10, 20, 30, 200, 0, 0])
    elif mode == "1":
        picture = Image.fromarray(ones * 255).convert("1")
    elif mode == "L1":
        picture = Image.fromarray(ones)
    elif mode == "I;16":
        picture = Image.fromarray(ones.astype(np.uint16) * 1000)
    elif mode == "I":
        picture = Image.fromarray(ones.astype(np.int32) * 70_000)
    elif mode == "RGB":
        picture = Image.fromarray(ones[:, :, None] * np.array([128, 0, 64], np.uint8))
    elif mode == "RGBA":
        picture = Image.new("RGBA", mask.shape[::-1], (9, 9, 9, 0))
        picture.putalpha(Image.fromarray(ones * 255))
    elif mode == "RGBA-opaque":
        picture = Image.fromarray(ones * 255).convert("RGBA")
    elif mode == "LA":
        picture = Image.fromarray(ones * 255).convert("LA")
    else:
        picture = Image.fromarray(ones * 255)
    picture.save(path)
    return path


def write_array(path: Path, array: np.ndarray) -> Path:
    """A picture of just these numbers, or `.npy`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)
    return path
