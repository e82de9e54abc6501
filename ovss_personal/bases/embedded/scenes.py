"""Training scenes of the mask decoder: pictures whose every segment is known exactly.

A scene is one to four background regions and some objects on them. Half of the scenes are hard: rows of touching
recoloured copies, many small objects, painted stripes, dots and checks, patterned grounds, soft shadows. That is
where a decoder trained on single well-separated objects fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ovss_personal.composites.paste import crop_background, paste, random_look, render
from ovss_personal.composites.sources import RGB, RGBA, TRAIN_ABSTRACT, TRAIN_BACKGROUNDS, Sources

Segments = npt.NDArray[np.uint8]  # (S, S), an index; regions first, then objects


@dataclass(frozen=True)
class Scene:
    """(S, S, 3) uint8 image, (S, S) segment indices, and how many of the first indices are background regions."""

    image: RGB
    segments: Segments
    regions: int


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
        return _pattern(rng, self.size) if kind == "pattern" else _plain(rng, self.size)

    # Objects: each returns [(RGBA drawing, centre)], the first drawn first

    def _easy(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        return [self._one(rng, rng.uniform(0.15, 0.8)) for _ in range(int(rng.integers(1, 6)))]

    def _crowd(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        return [self._one(rng, rng.uniform(0.08, 0.3)) for _ in range(int(rng.integers(3, 11)))]

    def _row(self, rng: np.random.Generator) -> list[tuple[RGBA, tuple[float, float]]]:
        """Three to six recoloured copies side by side, touching or overlapping a little, on one base line."""
        count, size = int(rng.integers(3, 7)), self.size
        cutout = self._cutout(rng)
        side = rng.uniform(0.15, 0.35) * size
        x, y = rng.uniform(0, 0.25) * size, rng.uniform(0.25, 0.8) * size
        step = rng.uniform(0.75, 1.1)
        row = []
        for _ in range(count):
            copy = _recolour(rng, cutout)
            drawn = render(copy, random_look(rng, side * rng.uniform(0.85, 1.15), angle=10))
            height, width = drawn.shape[:2]
            row.append((drawn, (x + width / 2, y - height / 2 + rng.uniform(-0.05, 0.05) * size)))
            x += width * step
        if rng.random() < 0.5:
            row += [self._one(rng, rng.uniform(0.1, 0.3)) for _ in range(int(rng.integers(1, 4)))]
        return [row[i] for i in rng.permutation(len(row))]

    def _one(self, rng: np.random.Generator, scale: float) -> tuple[RGBA, tuple[float, float]]:
        cutout = self._cutout(rng)
        if rng.random() < 0.25:
            cutout = _recolour(rng, cutout)
        drawn = render(cutout, random_look(rng, scale * self.size, angle=25, brightness=0.3, contrast=0.25))
        centre = rng.uniform(0.08, 0.92, 2) * self.size
        return drawn, (centre[0], centre[1])

    def _cutout(self, rng: np.random.Generator) -> RGBA:
        if rng.random() < 0.15:
            return _made_up(rng, 192)
        return self.cutouts[int(rng.integers(len(self.cutouts)))]


def _bytes(values: npt.NDArray[np.float32 | np.float64]) -> RGB:
    clipped: RGB = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


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


def _colour(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.uniform(10, 245, 3).astype(np.float32)


def _tint(rng: np.random.Generator, image: RGB) -> RGB:
    gain = (rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
    return _bytes(image * gain)


def _plain(rng: np.random.Generator, size: int) -> RGB:
    """A wall: one colour, a slow gradient, a little grain."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    slope = rng.uniform(-60, 60, 2)
    light = (x - 0.5) * slope[0] + (y - 0.5) * slope[1] + rng.normal(0, rng.uniform(0, 6), (size, size))
    return _bytes(_colour(rng) + light[..., None])


def _pattern(rng: np.random.Generator, size: int) -> RGB:
    """Stripes, checks, dots or cloth in two colours, at any angle and scale."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), size / rng.uniform(3, 24)
    u = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period
    v = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period
    kind = rng.integers(4)
    wave = (np.sin(u), np.sin(u) * np.sin(v), np.cos(u) + np.cos(v) - rng.uniform(0.5, 1.2), np.sin(u) + np.sin(v))
    blend = np.clip(wave[kind] * rng.uniform(2, 12) + 0.5, 0, 1)[..., None]
    grain = rng.normal(0, rng.uniform(0, 8), (size, size, 1))
    return _bytes(_colour(rng) * blend + _colour(rng) * (1 - blend) + grain)


def _recolour(rng: np.random.Generator, cutout: RGBA) -> RGBA:
    """The same thing painted otherwise: channels mixed, or a pattern that keeps its light and shade."""
    out = cutout.copy()
    rgb = cutout[..., :3].astype(np.float32)
    if rng.random() < 0.5:
        mix = rng.dirichlet((0.7, 0.7, 0.7), 3).astype(np.float32)
        painted = rgb @ mix.T * rng.uniform(0.7, 1.2)
    else:
        light = rgb.mean(-1, keepdims=True) / max(float(rgb.mean()), 1.0)
        height, width = cutout.shape[:2]
        painted = _pattern(rng, max(height, width))[:height, :width] * np.clip(light, 0.3, 1.6)
    out[..., :3] = _bytes(painted)
    return out


def _made_up(rng: np.random.Generator, size: int) -> RGBA:
    """A thing that does not exist: one to three shapes under one paint, lit from one side."""
    shape = Image.new("L", (size, size))
    draw = ImageDraw.Draw(shape)
    for _ in range(int(rng.integers(1, 4))):
        x0, y0 = rng.uniform(0.02, 0.5, 2) * size
        x1, y1 = x0 + rng.uniform(0.25, 0.48) * size, y0 + rng.uniform(0.25, 0.48) * size
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse((x0, y0, x1, y1), fill=255)
        elif kind == 1:
            draw.rounded_rectangle((x0, y0, x1, y1), radius=rng.uniform(0, 0.1) * size, fill=255)
        else:
            draw.ellipse((x0, y0, x1, y1), outline=255, width=max(4, size // 12))
    paint = _pattern(rng, size) if rng.random() < 0.6 else _plain(rng, size)
    light = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.7, 1.3), size, dtype=np.float32)[None, :, None]
    rgb = _bytes(paint * light)
    out = np.dstack((rgb, np.asarray(shape)))
    box = shape.getbbox() or (0, 0, size, size)
    return np.ascontiguousarray(out[box[1] : box[3], box[0] : box[2]])


def _noisy(rng: np.random.Generator, image: RGB) -> RGB:
    grain = rng.normal(0, rng.uniform(1, 10), image.shape).astype(np.float32)
    return _bytes(image + grain)
