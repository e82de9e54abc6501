"""Photos from Pillow pictures and arrays: always upright RGB, uint8, of a sane size."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import ImageError, InputError

RGBImage = npt.NDArray[np.uint8]  # (H, W, 3)
Scalar = TypeVar("Scalar", bound=np.generic)

MAX_PIXELS = 89_000_000
WORKING_PIXELS = 25_000_000  # that are worked on: a camera's 6000x4000 pass as they are
MIN_SIDE = 16
MAX_ASPECT = 50
_EXIF_ORIENTATION = 0x0112


def rgb_of(source: Image.Image | npt.NDArray[Any], *, path: str | Path | None = None) -> RGBImage:
    """(H, W, 3) uint8 RGB from a Pillow picture or a uint8 array.

    Arrays are (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, laid over white. RGB may have any size but none, since what
    is cut out of a photo or padded around it is no photo.

    Raises:
        ImageError: as `to_rgb`; also any other type, dtype or shape.
    """
    if isinstance(source, Image.Image):
        return to_rgb(source, path=path)
    if not isinstance(source, np.ndarray):
        raise ImageError(f"expected a Pillow image or an array, found {type(source).__name__}.", path=path)
    grey_or_colour = source.ndim == 2 or (source.ndim == 3 and source.shape[2] in (3, 4))
    if source.dtype != np.uint8 or not grey_or_colour:
        raise ImageError(
            f"expected an array of uint8 shaped (H, W), (H, W, 3) or (H, W, 4), found {source.dtype} shaped "
            f"{source.shape}.",
            path=path,
            hint="Scale floats to 0..255, put channels last, and pass .astype(np.uint8).",
        )
    if source.size == 0:
        raise ImageError(f"the array is empty: it is shaped {source.shape}.", path=path)
    if source.ndim == 3 and source.shape[2] == 3:
        return np.array(source, order="C")  # not what the caller may write to
    return to_rgb(Image.fromarray(source), path=path)


def to_rgb(image: Image.Image, *, path: str | Path | None = None, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """(H, W, 3) uint8 RGB of a Pillow picture in any mode, turned upright by its EXIF orientation.

    Raises:
        ImageError: too large, under 16 pixels a side, more than 50 times as long as wide, or not to be converted; names
            `path` where it is given.
    """
    check_size(image.width, image.height, path, max_pixels)
    try:
        pixels = upright(_rgb_pixels(image), orientation_of(image))
    except (OSError, SyntaxError, ValueError) as exc:
        raise ImageError(f"the picture cannot be converted to RGB: {exc}.", path=path) from exc
    return np.ascontiguousarray(pixels)


def at_most(picture: npt.NDArray[Scalar], pixels: int = WORKING_PIXELS) -> npt.NDArray[Scalar]:
    """A photo (H, W, 3) uint8 or a mask (H, W) bool scaled down to no more than so many pixels, or itself if it is.

    More than `WORKING_PIXELS` are scaled down before they are worked on: nothing that a base sees is as fine, and every
    label, mask and picture of 89 million takes minutes and gigabytes.
    """
    height, width = picture.shape[:2]
    if height * width <= pixels:
        return picture
    share = (pixels / (height * width)) ** 0.5
    size = (max(1, int(width * share)), max(1, int(height * share)))
    way = Image.Resampling.NEAREST if picture.dtype == bool else Image.Resampling.BOX
    return np.array(Image.fromarray(picture).resize(size, way))


def upright(stored: npt.NDArray[Scalar], orientation: int) -> npt.NDArray[Scalar]:
    """(h, w, ...) pixels as stored -> (H, W, ...) a view as shown, for an EXIF orientation of 1 to 8."""
    if orientation in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 6, 7):
        stored = stored[::-1]
    return stored.swapaxes(0, 1) if orientation >= 5 else stored


def check_pixels(
    width: int, height: int, path: str | Path | None, error: type[InputError], max_pixels: int = MAX_PIXELS
) -> None:
    """Raises `error` if a picture of this size, in pixels, would be larger than `max_pixels`."""
    if width * height > max_pixels:
        raise error(
            f"the picture is {width}x{height} pixels (width x height), over {max_pixels / 1e6:g} million.",
            path=path,
            hint="Scale it down.",
        )


def orientation_of(image: Image.Image) -> int:
    """How a picture is stored, 1 (upright) to 8, as EXIF counts."""
    try:
        with quiet_pillow():
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # EXIF data too broken to read turns nothing
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def sha256_of(image: RGBImage) -> str:
    """Of an image's size and pixels, 64 hexadecimal digits."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drops Pillow's own warnings: our checks and errors say what matters in one line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def check_size(width: int, height: int, path: str | Path | None, max_pixels: int) -> None:
    """Raises ImageError for a photo too large, under 16 pixels a side, or more than 50 times as long as wide."""
    check_pixels(width, height, path, ImageError, max_pixels)
    size = f"{width}x{height} pixels (width x height)"
    short, long = sorted((width, height))
    if short < MIN_SIDE:
        raise ImageError(
            f"the photo is {size}; at least {MIN_SIDE} a side are needed.",
            path=path,
            hint="Use a larger one.",
        )
    if long > MAX_ASPECT * short:
        raise ImageError(
            f"the photo is {size}; one side may be at most {MAX_ASPECT} times the other.",
            path=path,
            hint="Crop it.",
        )


def _rgb_pixels(image: Image.Image) -> RGBImage:
    """(h, w, 3) as stored."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _scaled(np.asarray(image))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _scaled(grey: npt.NDArray[Any]) -> RGBImage:
    """(h, w) of 16 bits, 32 bits or floats -> (h, w, 3) uint8; white is the top of the range it fills."""
    if not np.isfinite(grey).all():
        raise ValueError("it holds NaN or infinite pixels")
    ranges = {"u": [65535.0], "i": [255.0, 65535.0], "f": [1.0, 255.0, 65535.0]}[grey.dtype.kind]
    brightest = float(grey.max())
    white = next((top for top in ranges if brightest <= top), brightest)
    scaled = np.rint(grey.clip(min=0) * (255.0 / white)).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)
