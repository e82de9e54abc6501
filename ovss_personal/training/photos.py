"""Training scenes from real photographs with instance masks.

A scene is a part of a photo, turned, stretched, mirrored and lit otherwise, on which instances of other photos and
cut-outs may lie. Its background may hold things that nobody marked, so it is not taught as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from ovss_personal.benchmarks.composites.paste import paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import RGB, RGBA
from ovss_personal.training.layouts import Photo
from ovss_personal.training.paint import as_bytes, recolour
from ovss_personal.training.scenes import VOID, Scene, Segments

LEAST_PIXELS = 24  # what is left of a thing in fewer is no thing any more
MOST_PASTED = 5
WEIGHTS = {"coco_subsets": 4.0}  # of a photo of a set; the most varied counts for more


class PhotoMaker:
    """`scene(rng)` draws one picture from photographs.

    Args:
        sets: as `layouts.find_photos` gives them.
        size: pixels a side of a scene.
        cutouts: things without a photograph, of which some are pasted too.
    """

    def __init__(self, sets: dict[str, list[Photo]], size: int, cutouts: Sequence[RGBA] = ()) -> None:
        self.size, self.cutouts = size, cutouts
        self.photos = [photo for photos in sets.values() for photo in photos]
        weights = np.array([WEIGHTS.get(name, 1.0) for name, photos in sets.items() for _ in photos])
        self.chances = weights / weights.sum()

    def scene(self, rng: np.random.Generator) -> Scene:
        image, segments = self._view(rng, *self._photo(rng).read())
        if rng.random() < 0.5:
            self._paste(rng, image, segments)
        return Scene(_relit(rng, image), _counted(segments), regions=1, taught=False)

    def _photo(self, rng: np.random.Generator) -> Photo:
        return self.photos[int(rng.choice(len(self.photos), p=self.chances))]

    def _view(self, rng: np.random.Generator, image: RGB, segments: Segments) -> tuple[RGB, Segments]:
        """The whole photo or a part of it as a square; what lies outside is black and unknown."""
        height, width = segments.shape
        share = rng.uniform(0.9, 1.1) if rng.random() < 0.4 else rng.uniform(0.4, 1.0)
        stretch = np.exp(rng.uniform(-0.25, 0.25))
        w, h = width * share * stretch**0.5, height * share / stretch**0.5
        x, y = rng.uniform(min(0, width - w), max(0, width - w)), rng.uniform(min(0, height - h), max(0, height - h))
        angle = np.deg2rad(rng.uniform(-12, 12)) if rng.random() < 0.3 else 0.0
        flip = -1 if rng.random() < 0.5 else 1
        # From the scene's pixel to the photo's: x' = a x + b y + c, y' = d x + e y + f.
        a, b = np.cos(angle) * w / self.size * flip, -np.sin(angle) * w / self.size
        d, e = np.sin(angle) * h / self.size * flip, np.cos(angle) * h / self.size
        middle = self.size / 2
        c, f = x + w / 2 - (a + b) * middle, y + h / 2 - (d + e) * middle
        size, matrix = (self.size, self.size), (a, b, c, d, e, f)
        drawn = Image.fromarray(image).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        seen = Image.fromarray(segments).transform(
            size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=VOID
        )
        return np.array(drawn), np.array(seen)

    def _paste(self, rng: np.random.Generator, image: RGB, segments: Segments) -> None:
        known = segments[segments != VOID]
        index = int(known.max()) + 1 if known.size else 1
        for _ in range(int(rng.integers(1, MOST_PASTED + 1))):
            cutout = self._cutout(rng)
            if cutout is None or index >= VOID:
                continue
            side = self.size * np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
            drawn = render(cutout, random_augmentation(rng, side, angle=20))
            centre = rng.uniform(0.05, 0.95, 2) * self.size
            segments[paste(image, drawn, (centre[0], centre[1]))] = index
            index += 1

    def _cutout(self, rng: np.random.Generator) -> RGBA | None:
        if self.cutouts and rng.random() < 0.3:
            cutout = self.cutouts[int(rng.integers(len(self.cutouts)))]
            return recolour(rng, cutout) if rng.random() < 0.25 else cutout
        return instance(rng, *self._photo(rng).read())


def whole(photo: Photo, size: int) -> Scene:
    """A photograph as it is, stretched to a square as at inference."""
    image, segments = photo.read()
    drawn = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    seen = Image.fromarray(segments).resize((size, size), Image.Resampling.NEAREST)
    return Scene(np.array(drawn), _counted(np.array(seen)), regions=1, taught=False)


def instance(rng: np.random.Generator, image: RGB, segments: Segments) -> RGBA | None:
    """A thing of a photo with a soft edge, cropped tight; None if the one that was drawn is tiny or cut off."""
    present = np.unique(segments[(segments > 0) & (segments != VOID)])
    if not len(present):
        return None
    where = segments == present[int(rng.integers(len(present)))]
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    cut_off = top == 0 or left == 0 or bottom == where.shape[0] or right == where.shape[1]
    if cut_off or min(bottom - top, right - left) < 24:
        return None
    alpha = Image.fromarray(where[top:bottom, left:right].astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(0.8))
    return np.dstack((image[top:bottom, left:right], np.asarray(alpha)))


def _counted(segments: Segments) -> Segments:
    """Things numbered from 1; what is left of one in a few pixels becomes unknown."""
    names, counts = np.unique(segments, return_counts=True)
    table = np.full(256, VOID, np.uint8)
    table[0] = 0
    things = [n for n, count in zip(names.tolist(), counts, strict=True) if 0 < n < VOID and count >= LEAST_PIXELS]
    table[things] = np.arange(1, len(things) + 1)
    return np.asarray(table[segments])


def _relit(rng: np.random.Generator, image: RGB) -> RGB:
    """Other light, colours and sharpness."""
    values = image.astype(np.float32) / 255
    values = values ** np.exp(rng.uniform(-0.35, 0.35))
    grey = values.mean(-1, keepdims=True)
    values = grey + (values - grey) * (0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.4))
    values = (values - 0.5) * rng.uniform(0.75, 1.25) + 0.5 + rng.uniform(-0.1, 0.1)
    values *= rng.uniform(0.92, 1.08, 3).astype(np.float32)
    out = as_bytes(values * 255)
    if rng.random() < 0.15:
        out = np.array(Image.fromarray(out).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5))))
    if rng.random() < 0.25:
        out = as_bytes(out.astype(np.float32) + rng.normal(0, rng.uniform(1, 8), out.shape))
    return out
