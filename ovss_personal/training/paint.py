"""What training scenes are painted with: plain walls, patterns, bands, recoloured cut-outs and made-up things.

A cut-out teaches what things look like; paint teaches that a stripe, a dot or a band is not a thing of its own.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ovss_personal.benchmarks.composites.sources import RGB, RGBA

Floats = npt.NDArray[np.float32]
Colours = list[Floats]  # each (3,), 0 to 255


def as_bytes(values: npt.NDArray[np.float32 | np.float64]) -> RGB:
    """Values clipped to 0 … 255."""
    clipped: RGB = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def palette(rng: np.random.Generator) -> Colours:
    """Two to four colours that a thing, or a set of things, is painted in."""
    return [_colour(rng) for _ in range(int(rng.integers(2, 5)))]


def plain(rng: np.random.Generator, size: int) -> RGB:
    """(size, size, 3) a wall: one colour, a slow gradient, a little grain."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    slope = rng.uniform(-60, 60, 2)
    light = (x - 0.5) * slope[0] + (y - 0.5) * slope[1] + rng.normal(0, rng.uniform(0, 6), (size, size))
    return as_bytes(_colour(rng) + light[..., None])


def pattern(rng: np.random.Generator, size: int) -> RGB:
    """(size, size, 3) stripes, checks, dots or cloth in two colours, at any angle and scale."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), size / rng.uniform(3, 24)
    u = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period
    v = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period
    blend = _wave(rng, u, v)[..., None]
    grain = rng.normal(0, rng.uniform(0, 8), (size, size, 1))
    return as_bytes(_colour(rng) * blend + _colour(rng) * (1 - blend) + grain)


def recolour(rng: np.random.Generator, cutout: RGBA) -> RGBA:
    """The same thing painted otherwise: channels mixed, or a paint that keeps its light and shade."""
    out = cutout.copy()
    rgb = cutout[..., :3].astype(np.float32)
    height, width = cutout.shape[:2]
    if rng.random() < 0.5:
        mix = rng.dirichlet((0.7, 0.7, 0.7), 3).astype(np.float32)
        painted = rgb @ mix.T * rng.uniform(0.7, 1.2)
    else:
        light = rgb.mean(-1, keepdims=True) / max(float(rgb.mean()), 1.0)
        if rng.random() < 0.5:
            paint = pattern(rng, max(height, width))[:height, :width].astype(np.float32)
        else:
            v, u = np.mgrid[:height, :width].astype(np.float32)
            paint = _bands(rng, u / height, v / height, palette(rng))
        painted = paint * np.clip(light, 0.3, 1.6)
    out[..., :3] = as_bytes(painted)
    return out


def made_up(rng: np.random.Generator, size: int) -> RGBA:
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
    painted = rng.random()
    if painted < 0.4:
        paint = pattern(rng, size).astype(np.float32)
    elif painted < 0.7:
        v, u = np.mgrid[:size, :size].astype(np.float32) / size
        paint = _bands(rng, u, v, palette(rng))
    else:
        paint = plain(rng, size).astype(np.float32)
    light = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.7, 1.3), size, dtype=np.float32)[None, :, None]
    return _cropped(np.dstack((as_bytes(paint * light), np.asarray(shape))))


def vessel(rng: np.random.Generator, size: int, colours: Colours) -> RGBA:
    """A round body seen from a little above (a cup, a tin, a pot), painted around, often open, often with a handle."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    tilt = rng.uniform(0.05, 0.3)  # height of the rim's ellipse over its width
    height = rng.uniform(0.35, 0.6)
    mouth, foot = rng.uniform(0.16, 0.27), rng.uniform(0.14, 0.26)  # half widths
    middle, bulge = 0.5, rng.uniform(0, 0.05) if rng.random() < 0.3 else 0.0
    top = 0.5 - height / 2
    out = np.zeros((size, size, 4), np.float32)

    down = np.clip((y - top) / height, 0, 1)
    half = mouth + (foot - mouth) * down + bulge * np.sin(np.pi * down)
    across = (x - middle) / half
    round_ = np.sqrt(np.clip(1 - across**2, 0, 1))
    v = (y - top - tilt * half * round_) / height  # bands follow the curve of the foot
    body = (np.abs(across) <= 1) & (y >= top) & (v <= 1)
    around = np.arcsin(np.clip(across, -1, 1)) + rng.uniform(0, 2 * np.pi)
    lamp, contrast = rng.uniform(-1, 1), rng.uniform(0.1, 0.5)
    light = 1 - contrast + contrast * np.cos(np.arcsin(np.clip(across, -1, 1)) - lamp)
    paint = _paint(rng, around * 2 * mouth / np.pi / height, v, colours)

    if rng.random() < 0.75:
        _draw_handle(rng, out, middle, top, height, max(mouth, foot), colours)
    out[body, :3] = (paint * light[..., None])[body]
    rim = ((x - middle) / mouth) ** 2 + ((y - top) / (tilt * mouth)) ** 2
    lip = colours[int(rng.integers(len(colours)))]
    out[rim <= 1, :3] = lip * rng.uniform(0.8, 1.1)
    if rng.random() < 0.8:  # open: the inside is darker, or holds something
        inside = rng.uniform(0.5, 0.95) * (lip if rng.random() < 0.7 else _colour(rng))
        out[rim <= 0.85, :3] = inside
        if rng.random() < 0.4:
            level = rng.uniform(0.2, 0.9)
            filled = (rim <= 0.85) & (y > top + tilt * mouth * (1 - 2 * level))
            out[filled, :3] = _colour(rng) * 0.6
    out[body | (rim <= 1), 3] = 255
    return _cropped(as_bytes(out))


def _colour(rng: np.random.Generator) -> Floats:
    return rng.uniform(10, 245, 3).astype(np.float32)


def _wave(rng: np.random.Generator, u: Floats, v: Floats) -> Floats:
    """Stripes, checks, dots or cloth over two phases; in [0, 1]."""
    kind = rng.integers(4)
    if kind == 0:
        wave = np.sin(u)
    elif kind == 1:
        wave = np.sin(u) * np.sin(v)
    elif kind == 2:
        wave = np.cos(u) + np.cos(v) - rng.uniform(0.5, 1.2)
    else:
        wave = np.sin(u) + np.sin(v)
    blend: Floats = np.clip(wave * rng.uniform(2, 12) + 0.5, 0, 1)
    return blend


def _paint(rng: np.random.Generator, u: Floats, v: Floats, colours: Colours) -> Floats:
    """One colour, bands, or a wave over the surface coordinates (v runs from 0 at the mouth to 1 at the foot)."""
    kind = rng.random()
    if kind < 0.25:
        one = colours[int(rng.integers(len(colours)))]
        return np.broadcast_to(one, (*v.shape, 3)).astype(np.float32)
    if kind < 0.7:
        return _bands(rng, u, v, colours)
    period = 1 / rng.uniform(3, 9)
    first, second = rng.permutation(len(colours))[:2]
    blend = _wave(rng, u * 2 * np.pi / period, v * 2 * np.pi / period)[..., None]
    painted: Floats = colours[first] * blend + colours[second] * (1 - blend)
    return painted


def _bands(rng: np.random.Generator, u: Floats, v: Floats, colours: Colours) -> Floats:
    """Two to six bands across v in [0, 1], as wide as they fall; some carry a row of dots or a zigzag."""
    out = np.empty((*v.shape, 3), np.float32)
    edges = np.sort(rng.uniform(0.05, 0.95, int(rng.integers(1, 6))))
    bounds = [-np.inf, *edges, np.inf]
    last = -1
    for low, high in pairwise(bounds):
        choice = int(rng.choice([i for i in range(len(colours)) if i != last]))
        out[(v >= low) & (v < high)] = colours[choice]
        last = choice
        low, high = max(low, 0.0), min(high, 1.0)
        if high - low > 0.12 and rng.random() < 0.5:
            motif = colours[int(rng.choice([i for i in range(len(colours)) if i != choice]))]
            out[_motif(rng, u, v, low, high)] = motif
    return out


def _motif(rng: np.random.Generator, u: Floats, v: Floats, low: float, high: float) -> npt.NDArray[np.bool_]:
    """A row of dots, or a zigzag, inside a band."""
    centre, width = (low + high) / 2, high - low
    period = width * rng.uniform(0.8, 2.0)
    phase = (u / period) % 1 - 0.5
    if rng.random() < 0.6:
        radius = rng.uniform(0.2, 0.4) * width
        dots: npt.NDArray[np.bool_] = (phase * period) ** 2 + (v - centre) ** 2 < radius**2
        return dots
    line = centre + (np.abs(phase) - 0.25) * width
    zigzag: npt.NDArray[np.bool_] = np.abs(v - line) < rng.uniform(0.08, 0.18) * width
    return zigzag


def _draw_handle(
    rng: np.random.Generator, out: Floats, middle: float, top: float, height: float, half: float, colours: Colours
) -> None:
    """A ring at one side; the body, drawn later, covers its near end."""
    size = len(out)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    side = rng.choice((-1, 1)) * rng.uniform(0.8, 1.05)  # turned towards us it shows less
    radius, thick = height * rng.uniform(0.22, 0.38), rng.uniform(0.2, 0.4)
    distance = np.hypot((x - middle - side * half) / rng.uniform(0.7, 1), y - top - height * rng.uniform(0.4, 0.55))
    ring = np.abs(distance / radius - 1 + thick / 2) < thick / 2
    out[ring, :3] = colours[int(rng.integers(len(colours)))] * rng.uniform(0.7, 1)
    out[ring, 3] = 255


def _cropped(cutout: RGBA) -> RGBA:
    ys, xs = np.nonzero(cutout[..., 3])
    return np.ascontiguousarray(cutout[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
