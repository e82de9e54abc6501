"""Training scenes of the mask decoder: pictures whose every segment is known exactly.

A scene is one to four background regions and some objects on them. Half of the scenes are hard: rows of touching
look-alikes, many small objects, painted stripes, dots and bands, patterned grounds, soft shadows. That is where a
decoder trained on single well-separated objects fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovss_personal.benchmarks.composites.paste import crop_background, paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import RGB, RGBA, TRAIN_ABSTRACT, TRAIN_BACKGROUNDS, Sources
from ovss_personal.training.paint import as_bytes, made_up, palette, pattern, plain, recolour, vessel

VOID = 255
Segments = npt.NDArray[np.uint8]  # (S, S), an index; regions first, then objects


@dataclass(frozen=True)
class Scene:
    """A picture and its segments.

    Attributes:
        image: (S, S, 3) uint8.
        segments: (S, S) indices; `VOID` where nobody knows.
        regions: how many of the first indices are background regions; those after them are things.
        taught: whether a region is one thing to be found, as a wall of a composite is. What nobody marked in a
            photograph is not.
    """

    image: RGB
    segments: Segments
    regions: int
    taught: bool = True


class SceneMaker:
    """Holds the cut-outs and backgrounds in memory; `scene(rng)` draws one picture from them.

    Args:
        sources: the unpacked packages.
        size: pixels a side.
        max_side: cut-outs are kept no larger than this; it bounds the memory.
    """

    def __init__(self, sources: Sources, size: int, max_side: int = 320) -> None:
        self.size = size
        self.cutouts = [sources.cutout(name, max_side) for name in sources.stamps("train")]
        self.photos = [sources.background(name) for name in TRAIN_BACKGROUNDS]
        self.abstract = [sources.background(name) for name in TRAIN_ABSTRACT]

    def scene(self, rng: np.random.Generator, objects: bool = True) -> Scene:
        """One scene; without `objects` it is background regions alone."""
        image, segments, regions = self._grounds(rng)
        if objects:
            kind = rng.choice(("easy", "row", "crowd"), p=(0.5, 0.25, 0.25))
            drawn = getattr(self, f"_{kind}")(rng)
            shadow = rng.uniform(0.1, 0.5) if rng.random() < 0.4 else 0.0
            for index, (cutout, centre) in enumerate(drawn, start=regions):
                segments[paste(image, cutout, centre, shadow)] = index
        if rng.random() < 0.3:
            image = _noisy(rng, image)
        return Scene(image, segments, regions)

    # Grounds

    def _grounds(self, rng: np.random.Generator) -> tuple[RGB, Segments, int]:
        image = self._ground(rng)
        segments = np.zeros((self.size, self.size), np.uint8)
        regions = 1
        for _ in range(int(rng.choice(4, p=(0.35, 0.35, 0.2, 0.1)))):
            where = _region(rng, self.size)
            image[where] = self._ground(rng)[where]
            segments[where] = regions
            regions += 1
        return image, segments, regions

    def _ground(self, rng: np.random.Generator) -> RGB:
        kind = rng.choice(("photo", "abstract", "pattern", "plain"), p=(0.5, 0.2, 0.15, 0.15))
        if kind in ("photo", "abstract"):
            pool = self.photos if kind == "photo" else self.abstract
            ground = crop_background(rng, pool[int(rng.integers(len(pool)))], self.size, low=0.25)
            return _tint(rng, ground)
        return pattern(rng, self.size) if kind == "pattern" else plain(rng, self.size)

    # Objects: each returns [(RGBA drawing, centre)], the first drawn first

    def _easy(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        return [self._one(rng, rng.uniform(0.15, 0.8)) for _ in range(int(rng.integers(1, 6)))]

    def _crowd(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        return [self._one(rng, rng.uniform(0.08, 0.3)) for _ in range(int(rng.integers(3, 11)))]

    def _row(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        """Three to six look-alikes side by side, touching or half hidden behind one another, the nearest drawn last.

        They are recoloured copies of one cut-out, or vessels of one set: different bodies, the same few colours.
        """
        count, size = int(rng.integers(3, 7)), self.size
        side = rng.uniform(0.15, 0.35) * size
        x, y = rng.uniform(0, 0.25) * size, rng.uniform(0.25, 0.8) * size
        step, depth = rng.uniform(0.6, 1.1), rng.uniform(0.02, 0.12) * size
        of_a_set = rng.random() < 0.5
        cutout, colours = self._cutout(rng), palette(rng)
        row = []
        for _ in range(count):
            copy = vessel(rng, 192, colours) if of_a_set else recolour(rng, cutout)
            drawn = render(copy, random_augmentation(rng, side * rng.uniform(0.85, 1.15), angle=10))
            height, width = drawn.shape[:2]
            foot = y + rng.uniform(-1, 1) * depth
            row.append((foot, drawn, (x + width / 2, foot - height / 2)))
            x += width * step
        near_last = [(drawn, centre) for _, drawn, centre in sorted(row, key=lambda placed: placed[0])]
        if rng.random() < 0.5:
            near_last += [self._one(rng, rng.uniform(0.1, 0.3)) for _ in range(int(rng.integers(1, 4)))]
        return near_last

    def _one(self, rng: np.random.Generator, scale: float) -> tuple[RGBA, tuple[float, float]]:
        cutout = self._cutout(rng)
        if rng.random() < 0.25:
            cutout = recolour(rng, cutout)
        drawn = render(cutout, random_augmentation(rng, scale * self.size, angle=25, brightness=0.3, contrast=0.25))
        centre = rng.uniform(0.08, 0.92, 2) * self.size
        return drawn, (centre[0], centre[1])

    def _cutout(self, rng: np.random.Generator) -> RGBA:
        kind = rng.random()
        if kind < 0.1:
            return made_up(rng, 192)
        if kind < 0.2:
            return vessel(rng, 192, palette(rng))
        return self.cutouts[int(rng.integers(len(self.cutouts)))]


def _region(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """One side of a wavy line, or an ellipse: where another ground begins."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    if rng.random() < 0.3:
        cx, cy = rng.uniform(0.1, 0.9, 2)
        rx, ry = rng.uniform(0.15, 0.5, 2)
        inside: npt.NDArray[np.bool_] = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
        return inside
    # Horizons and table edges are level more often than not.
    angle = rng.normal(np.pi / 2, 0.15) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
    along, across = x * np.sin(angle) - y * np.cos(angle), x * np.cos(angle) + y * np.sin(angle)
    wave = rng.uniform(0, 0.06) * np.sin(along * rng.uniform(3, 25) + rng.uniform(0, 6))
    offset = rng.uniform(0.25, 0.75) * (np.cos(angle) + np.sin(angle))
    side: npt.NDArray[np.bool_] = across + wave > offset
    return side


def _tint(rng: np.random.Generator, image: RGB) -> RGB:
    gain = (rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
    return as_bytes(image * gain)


def _noisy(rng: np.random.Generator, image: RGB) -> RGB:
    grain = rng.normal(0, rng.uniform(1, 10), image.shape).astype(np.float32)
    return as_bytes(image + grain)
