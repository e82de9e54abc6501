"""What of a thing's appearance stays when it is seen anew: in other light, at another size, tilted, elsewhere.

Things of photographs, and cut-outs, are pasted on other photographs, each on several. Directions in which the pictures
of one and the same thing differ are made short (within-class whitening), so that a cosine tells one thing from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovss_personal.benchmarks.composites.paste import paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import RGB, RGBA
from ovss_personal.structures import BoolMask
from ovss_personal.training.layouts import Photo
from ovss_personal.training.photos import instance
from ovss_personal.training.scenes import SceneMaker

TOGETHER = 7  # things on one picture
FROM_PHOTOS = 0.9  # chance that one more photo is looked at for a thing
PICTURES = 3  # of each thing
SIDES = (0.15, 0.5)  # of a thing's longer side, in sides of the picture
TILT = 0.13  # how far a corner moves, in sides of the thing
LEAST_SEEN = 0.7  # of a thing that others partly hide
SHRINK = 0.1  # share of the mean variance that every direction is given


Picture = tuple[RGB, dict[int, BoolMask]]
"""(size, size, 3) uint8, and number of a thing -> (size, size) bool, what is seen of it."""


def seen_anew(
    maker: SceneMaker, photos: Sequence[Photo], rng: np.random.Generator, groups: int, at_once: int = TOGETHER
) -> Iterator[Picture]:
    """`PICTURES` pictures of each of so many groups of `at_once` things; no thing is in two groups.

    Args:
        maker: whose cut-outs are things too, and whose backgrounds lie under them if there are no photos.
    """
    for group in range(groups):
        things = [_thing(maker, photos, rng) for _ in range(at_once)]
        for _ in range(PICTURES):
            yield _picture(things, group * at_once, _ground(maker, photos, rng), rng)


def _thing(maker: SceneMaker, photos: Sequence[Photo], rng: np.random.Generator) -> RGBA:
    while photos and rng.random() < FROM_PHOTOS:  # many a photo shows nothing whole
        cutout = instance(rng, *photos[int(rng.integers(len(photos)))].read())
        if cutout is not None:
            return cutout
    return maker.cutouts[int(rng.integers(len(maker.cutouts)))]


def _ground(maker: SceneMaker, photos: Sequence[Photo], rng: np.random.Generator) -> RGB:
    if not photos:
        return maker.scene(rng, objects=False).image
    image, _ = photos[int(rng.integers(len(photos)))].read()
    return np.array(Image.fromarray(image).resize((maker.size, maker.size), Image.Resampling.BILINEAR))


def _picture(things: Sequence[RGBA], first: int, image: RGB, rng: np.random.Generator) -> Picture:
    size = len(image)
    masks: dict[int, BoolMask] = {}
    whole: dict[int, int] = {}
    for number in rng.permutation(len(things)).tolist():
        side = size * np.exp(rng.uniform(*np.log(SIDES)))
        light = random_augmentation(rng, side, angle=20, brightness=0.35, contrast=0.3, channel=0.08)
        drawn = render(tilted(things[number], rng), light)
        centre = rng.uniform(0.15, 0.85, 2) * size
        where = paste(image, drawn, (centre[0], centre[1]))
        masks = {other: mask & ~where for other, mask in masks.items()} | {first + number: where}
        whole[first + number] = int(where.sum())
    return image, {n: mask for n, mask in masks.items() if whole[n] and mask.sum() >= LEAST_SEEN * whole[n]}


def tilted(cutout: RGBA, rng: np.random.Generator) -> RGBA:
    """As if seen from a little aside: its corners are moved."""
    height, width = cutout.shape[:2]
    corners = np.array([[0, 0], [0, height], [width, height], [width, 0]], np.float64)
    moved = corners + rng.uniform(-TILT, TILT, (4, 2)) * [width, height]
    drawn = Image.fromarray(cutout).transform(
        (width, height), Image.Transform.QUAD, moved.flatten().tolist(), Image.Resampling.BILINEAR
    )
    return np.asarray(drawn)


def whitening(rows: Tensor, owner: Tensor, shrink: float = SHRINK) -> Tensor:
    """(N, D) of things, (N,) whose -> (D, D), symmetric: under it what one thing's rows differ by is as long in every
    direction, but for `shrink`. Things with one row do not count.

    Raises:
        ValueError: no thing has two rows.
    """
    names, place, counts = torch.unique(owner, return_inverse=True, return_counts=True)
    several = counts[place] > 1
    if not several.any():
        raise ValueError("no thing was seen twice")
    rows = rows.double()
    means = rows.new_zeros(len(names), rows.shape[1]).index_add_(0, place, rows) / counts[:, None]
    apart = (rows - means[place])[several]
    scatter = apart.T @ apart / (int(several.sum()) - int((counts > 1).sum()))
    even = torch.eye(len(scatter), dtype=rows.dtype) * scatter.diagonal().mean()
    values, vectors = torch.linalg.eigh((1 - shrink) * scatter + shrink * even)
    whitened: Tensor = (vectors / values.clamp(min=1e-12).sqrt()) @ vectors.T
    return whitened.float()
