"""Putting a cut-out on a picture: scale, rotation, light, place. Everything draws from one Generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ovss_personal.benchmarks.composites.sources import RGB, RGBA

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Augmentation:
    """How a cut-out is drawn: drawn once, so that a caller may also choose it by hand.

    Attributes:
        side: length of the longer side in pixels.
        angle: degrees, counter-clockwise.
        flip: mirrored left to right.
        gain: (3,) factor per channel, brightness included.
        contrast: factor about mid grey.
    """

    side: float
    angle: float = 0.0
    flip: bool = False
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0


def random_augmentation(
    rng: np.random.Generator,
    side: float,
    *,
    angle: float = 15.0,
    brightness: float = 0.2,
    contrast: float = 0.15,
    channel: float = 0.05,
) -> Augmentation:
    """One with every setting drawn uniformly within ± its bound."""
    gain = (1 + rng.uniform(-brightness, brightness)) * (1 + rng.uniform(-channel, channel, 3))
    return Augmentation(
        side=side,
        angle=rng.uniform(-angle, angle),
        flip=bool(rng.random() < 0.5),
        gain=(gain[0], gain[1], gain[2]),
        contrast=1 + rng.uniform(-contrast, contrast),
    )


def render(cutout: RGBA, augmentation: Augmentation) -> RGBA:
    """(h, w, 4) the cut-out under `augmentation`, its rotated box cropped tight."""
    height, width = cutout.shape[:2]
    scale = augmentation.side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(cutout).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if augmentation.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augmentation.angle:
        image = image.rotate(augmentation.angle, Image.Resampling.BILINEAR, expand=True)
    out = np.array(image)
    colour = (out[..., :3].astype(np.float32) - 128) * augmentation.contrast + 128
    out[..., :3] = np.clip(colour * np.asarray(augmentation.gain, np.float32), 0, 255).astype(np.uint8)
    return out


def paste(canvas: RGB, drawn: RGBA, centre: tuple[float, float], shadow: float = 0.0) -> BoolMask:
    """Draw onto `canvas` in place, its middle at `centre` (x, y in pixels); returns (H, W) where it is opaque.

    Args:
        shadow: darkness in [0, 1] of a soft shadow below and right of it; 0 for none.
    """
    height, width = canvas.shape[:2]
    h, w = drawn.shape[:2]
    left, top = round(centre[0] - w / 2), round(centre[1] - h / 2)
    if shadow:
        _cast_shadow(canvas, drawn[..., 3], left, top, shadow)
    mask = np.zeros((height, width), bool)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, width), min(top + h, height)
    if x0 >= x1 or y0 >= y1:
        return mask
    part = drawn[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = part[..., 3:].astype(np.float32) / 255
    under = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = (alpha * part[..., :3] + (1 - alpha) * under + 0.5).astype(np.uint8)
    mask[y0:y1, x0:x1] = part[..., 3] > 127
    return mask


def _cast_shadow(canvas: RGB, alpha: npt.NDArray[np.uint8], left: int, top: int, darkness: float) -> None:
    height, width = canvas.shape[:2]
    shade = Image.new("L", (width, height))
    offset = max(2, alpha.shape[0] // 16)
    shade.paste(Image.fromarray(alpha), (left + offset, top + offset))
    blurred = np.asarray(shade.filter(ImageFilter.BoxBlur(offset)), np.float32) / 255
    canvas[:] = (canvas * (1 - darkness * blurred[..., None])).astype(np.uint8)


def crop_background(rng: np.random.Generator, background: RGB, size: int, low: float = 0.5) -> RGB:
    """(size, size, 3) a square crop whose side is U(low, 1) of the shorter side, half the time mirrored."""
    height, width = background.shape[:2]
    side = max(8, int(min(height, width) * rng.uniform(low, 1)))
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    image = Image.fromarray(background[y : y + side, x : x + side])
    out = np.array(image.resize((size, size), Image.Resampling.BILINEAR))
    return np.ascontiguousarray(out[:, ::-1]) if rng.random() < 0.5 else out
