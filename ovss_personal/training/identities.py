"""What of a thing's appearance stays when it is seen anew, and tells it from the same thing in another paint.

Things of photographs, and cut-outs, are pasted on other photographs, each on several: in other light, at another size,
tilted, bent. Beside them lie copies of some in other colours or with another print, which are other things. A linear
map is learned under which the cosine of two pictures says whether they show one thing (contrastive learning with the
copies as hard negatives; Khosla et al. 2020, "Supervised Contrastive Learning", equation 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

from ovss_personal.benchmarks.composites.paste import paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import RGB, RGBA
from ovss_personal.structures import BoolMask
from ovss_personal.training.layouts import Photo
from ovss_personal.training.paint import as_bytes, pattern
from ovss_personal.training.photos import instance
from ovss_personal.training.scenes import SceneMaker

THINGS = 4  # on one picture
COPIES = 3  # of the first of them, in another paint
FROM_PHOTOS = 0.9  # chance that one more photo is looked at for a thing
PICTURES = 4  # of each thing
SIDES = (0.15, 0.5)  # of a thing's longer side, in sides of the picture
TILT = 0.13  # how far a corner moves, in sides of the thing
BEND = 0.04  # likewise, a point inside
LEAST_SEEN = 0.6  # of a thing that others partly hide

CHANNELS = 128  # of what is learned
TEMPERATURE = 0.07
NOISE = 0.15  # added to every channel, in its standard deviations
STEPS = 600
GROUPS_A_STEP = 12
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02

Picture = tuple[RGB, dict[int, BoolMask]]
"""(size, size, 3) uint8, and number of a thing -> (size, size) bool, what is seen of it."""


def seen_anew(maker: SceneMaker, photos: Sequence[Photo], rng: np.random.Generator, groups: int) -> Iterator[Picture]:
    """`PICTURES` pictures of each of so many groups of `THINGS` things and `COPIES` copies; no thing is in two groups.

    Things are numbered through: those of group g from g · (THINGS + COPIES) on, its copies last.

    Args:
        maker: whose cut-outs are things too, and whose backgrounds lie under them if there are no photos.
    """
    for group in range(groups):
        things = [_thing(maker, photos, rng) for _ in range(THINGS)]
        things += [repainted(thing, _ground(maker, photos, rng), rng) for thing in things[:COPIES]]
        for _ in range(PICTURES):
            yield _picture(things, group * len(things), _ground(maker, photos, rng), rng)


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
        light = random_augmentation(rng, side, angle=25, brightness=0.35, contrast=0.25, channel=0.07)
        seen = tilted(things[number], rng)
        drawn = render(bent(seen, rng) if rng.random() < 0.5 else seen, light)
        if rng.random() < 0.2:
            drawn = np.asarray(Image.fromarray(drawn).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))))
        centre = rng.uniform(0.15, 0.85, 2) * size
        where = paste(image, drawn, (centre[0], centre[1]))
        masks = {other: mask & ~where for other, mask in masks.items()} | {first + number: where}
        whole[first + number] = int(where.sum())
    image = as_bytes(255 * (image / 255) ** np.exp(rng.uniform(-0.2, 0.2)))
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


def bent(cutout: RGBA, rng: np.random.Generator) -> RGBA:
    """As if it were soft: the points of a grid are moved."""
    height, width = cutout.shape[:2]
    xs, ys = (np.linspace(0, side, 4).astype(int).tolist() for side in (width, height))
    moved = np.stack(np.meshgrid(xs, ys), -1) + rng.uniform(-BEND, BEND, (4, 4, 2)) * [width, height]
    mesh = [
        ((xs[i], ys[j], xs[i + 1], ys[j + 1]), (*moved[j, i], *moved[j + 1, i], *moved[j + 1, i + 1], *moved[j, i + 1]))
        for i in range(3)
        for j in range(3)
    ]
    drawn = Image.fromarray(cutout).transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(drawn)


def repainted(cutout: RGBA, other: RGB, rng: np.random.Generator) -> RGBA:
    """Another thing of the same shape: in other colours, or with a print.

    Args:
        other: a picture, of which some prints are a part.
    """
    rgb = cutout[..., :3]
    way = rng.random()
    if way < 0.25:
        painted = _hue_turned(rgb, rng)
    elif way < 0.5:
        painted = _in_two_tones(rgb, rng)
    else:
        painted = _printed(rgb, _part(other, rng) if way < 0.85 else pattern(rng, max(rgb.shape)), rng)
    return np.dstack((painted, cutout[..., 3]))


def _hue_turned(rgb: RGB, rng: np.random.Generator) -> RGB:
    hsv = np.array(Image.fromarray(np.ascontiguousarray(rgb)).convert("HSV")).astype(int)
    hsv[..., 0] = (hsv[..., 0] + rng.integers(40, 216)) % 256
    pale = hsv[..., 1].mean() < 40  # to turn the hue of what has none would change nothing
    if pale or rng.random() < 0.3:
        hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 2.0) + (60 if pale else 0), 0, 255)
    return np.array(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB"))


def _in_two_tones(rgb: RGB, rng: np.random.Generator) -> RGB:
    dark, light = rng.uniform(0, 255, (2, 3))
    while np.abs(dark - light).sum() < 200:
        dark, light = rng.uniform(0, 255, (2, 3))
    grey = rgb.astype(np.float64).mean(-1, keepdims=True)
    return as_bytes(dark + (light - dark) * grey / 255 + 0.3 * (rgb - grey))


def _part(image: RGB, rng: np.random.Generator) -> RGB:
    share = rng.uniform(0.2, 0.8)
    height, width = (max(8, int(side * share)) for side in image.shape[:2])
    top, left = int(rng.integers(0, len(image) - height + 1)), int(rng.integers(0, image.shape[1] - width + 1))
    return image[top : top + height, left : left + width]


def _printed(rgb: RGB, print_: RGB, rng: np.random.Generator) -> RGB:
    """`print_` over all of it, or a band, a half or stripes, under the thing's own light and shade."""
    height, width = rgb.shape[:2]
    print_ = np.array(Image.fromarray(np.ascontiguousarray(print_)).resize((width, height)))
    where = np.ones((height, width))
    if rng.random() < 0.6:
        angle = rng.uniform(0, np.pi)
        v, u = np.mgrid[:height, :width]
        along = (v / height - 0.5) * np.sin(angle) + (u / width - 0.5) * np.cos(angle)
        band, half = np.abs(along) < rng.uniform(0.12, 0.25), along > rng.uniform(-0.15, 0.15)
        stripes = np.sin(along * rng.uniform(20, 50)) > 0
        where = (band, half, stripes)[int(rng.integers(3))].astype(np.float64)
    grey = rgb.astype(np.float64).mean(-1, keepdims=True)
    shaded = print_ * (0.35 + 0.65 * grey / max(1.0, float(grey.mean())))
    opacity = rng.uniform(0.45, 0.8) * where[..., None]
    return as_bytes(rgb * (1 - opacity) + shaded * opacity)


@torch.enable_grad()
def identity_map(rows: Tensor, owner: Tensor, seed: int = 0, steps: int = STEPS) -> Tensor:
    """Mean appearance (N, C), and (N,) whose, numbered as by `seen_anew` -> (C, CHANNELS), learned.

    Every step sees some groups whole, so that a thing's copies are always among what it must be told from.

    Raises:
        ValueError: no thing has two rows.
    """
    if not (torch.unique(owner, return_counts=True)[1] > 1).any():
        raise ValueError("no thing was seen twice")
    generator = torch.Generator().manual_seed(seed)
    spread = rows.std(0).clamp(min=1e-6)
    rows = (rows - rows.mean(0)) / spread
    group = owner // (THINGS + COPIES)
    groups = torch.unique(group)
    weight = (torch.randn(rows.shape[1], CHANNELS, generator=generator) / rows.shape[1] ** 0.5).requires_grad_()
    optimiser = torch.optim.AdamW([weight], LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        chosen = groups[torch.randperm(len(groups), generator=generator)[:GROUPS_A_STEP]]
        batch = torch.isin(group, chosen)
        noisy = rows[batch] + NOISE * torch.randn(int(batch.sum()), rows.shape[1], generator=generator)
        loss = contrastive_loss(F.normalize(noisy @ weight, dim=1), owner[batch])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    learned: Tensor = (weight / spread[:, None]).detach()
    return learned


def contrastive_loss(rows: Tensor, owner: Tensor) -> Tensor:
    """How badly the rows (N, C) of unit norm tell whose they are (Khosla et al. 2020, L_out); rows without a second of
    the same owner only stand among the others'."""
    itself = torch.eye(len(rows), dtype=torch.bool)
    logits = (rows @ rows.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    log_shares = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(itself, 0)
    same = (owner[:, None] == owner) & ~itself
    several = same.any(1)
    each = (log_shares * same).sum(1)[several] / same.sum(1)[several]
    return -each.mean()
