"""Photos from files, Pillow pictures and arrays: always upright RGB, uint8, of a sane size."""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ovss_personal.errors import ImageError, InputError, OvssError, OvssWarning, ResourceError
from ovss_personal.io.files import list_files, require_file
from ovss_personal.structures import RGBImage

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "as_image",
    "check_pixels",
    "decode",
    "exif_orientation",
    "find_images",
    "load_image",
    "to_rgb",
    "upright",
]

MAX_PIXELS = 89_000_000
MIN_SIDE = 16
MAX_ASPECT = 50

_HEIC_SUFFIXES = {".heic", ".heif"}
IMAGE_SUFFIXES = _HEIC_SUFFIXES | {
    *(".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
}

# Named, so that no file can reach the plugins that start other programs (EPS) or accept any bytes (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_EXIF_ORIENTATION = 0x0112

Scalar = TypeVar("Scalar", bound=np.generic)


def load_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """(H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey, palette, CMYK and 1-bit pictures are converted, 16 bits scaled to 8, transparency laid over white.
    Of an animation the first frame is taken, with an OvssWarning.

    Args:
        path: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000, AVIF, or HEIC where pillow-heif is installed.
        max_pixels: the largest H * W accepted, checked before anything is decoded.

    Raises:
        ImageError: missing, empty, truncated, not an image, too large, under 16 pixels a side, or more than
            50 times as long as wide.
    """
    return to_rgb(decode(path, max_pixels=max_pixels), path=path, max_pixels=max_pixels)


def as_image(source: str | Path | Image.Image | npt.NDArray[Any]) -> RGBImage:
    """(H, W, 3) uint8 RGB from a path, a Pillow picture or a uint8 array.

    Arrays are (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, laid over white.

    Raises:
        ImageError: as `load_image`; also any other type, dtype or shape.
    """
    if isinstance(source, (str, Path)):
        return load_image(source)
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if not isinstance(source, np.ndarray):
        raise ImageError(f"expected a path, a Pillow image or an array, found {type(source).__name__}.")
    grey_or_colour = source.ndim == 2 or (source.ndim == 3 and source.shape[2] in (3, 4))
    if source.dtype != np.uint8 or not grey_or_colour:
        raise ImageError(
            f"expected an array of uint8 shaped (H, W), (H, W, 3) or (H, W, 4), found {source.dtype} shaped "
            f"{source.shape}.",
            hint="Scale floats to 0..255, put channels last, and pass .astype(np.uint8).",
        )
    if source.size == 0:
        raise ImageError(f"the array is empty: it is shaped {source.shape}.")
    return to_rgb(Image.fromarray(source))


def to_rgb(image: Image.Image, *, path: str | Path | None = None, max_pixels: int = MAX_PIXELS) -> RGBImage:
    """(H, W, 3) uint8 RGB of a Pillow picture in any mode, turned upright by its EXIF orientation.

    Raises:
        ImageError: as `load_image`; names `path` where it is given.
    """
    check_pixels(image.width, image.height, path, ImageError, max_pixels)
    size = f"{image.width}x{image.height} pixels (width x height)"
    short, long = sorted(image.size)
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
    try:
        pixels = upright(_rgb_pixels(image), exif_orientation(image))
    except (OSError, SyntaxError, ValueError) as exc:
        raise ImageError(f"the picture cannot be converted to RGB: {exc}.", path=path) from exc
    return np.ascontiguousarray(pixels)


def decode(
    path: str | Path,
    *,
    error: type[InputError] = ImageError,
    max_pixels: int = MAX_PIXELS,
    stream: BinaryIO | None = None,
) -> Image.Image:
    """The first frame of a picture as it is stored: decoded, but neither converted nor turned.

    Args:
        path: the file to read, or to name in messages when `stream` is given.
        error: what to raise, so that a broken mask is a MaskError.
        max_pixels: the largest width * height, checked before anything is decoded.
        stream: read this instead of the file.

    Raises:
        error: the picture cannot be read or is too large.
    """
    with _opened(path, error, stream) as image:
        check_pixels(image.width, image.height, path, error, max_pixels)
        animated = image.format != "MPO" and getattr(image, "n_frames", 1) > 1  # MPO: a phone's extra views
        image.load()
    if animated:
        warnings.warn(f"{path}: only the first frame of the animation is used.", OvssWarning, stacklevel=2)
    return image


def exif_orientation(source: str | Path | Image.Image) -> int:
    """How a picture is stored, 1 (upright) to 8, as EXIF counts. Raises ImageError if it is no picture."""
    if not isinstance(source, Image.Image):
        with _opened(source, ImageError, None) as image:
            return exif_orientation(image)
    try:
        with _quiet_pillow():
            orientation = source.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # EXIF data too broken to read turns nothing
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


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


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The photos that files, folders (not their subfolders) and glob patterns name; sorted, each once.

    A file named outright is taken whatever its suffix; hidden files are never found by folder or pattern.

    Raises:
        InputError: one of `paths` names no photo.
    """
    found: dict[str, Path] = {}
    for path in paths:
        matches = _matches(Path(path))
        if not matches:
            raise InputError("no photo found here.", path=path, hint="Name a photo, a folder or a pattern.")
        for match in matches:
            found.setdefault(os.path.realpath(match), match)
    return sorted(found.values())


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in list_files(path) if file.suffix.lower() in IMAGE_SUFFIXES]
    if path.exists() or not glob.has_magic(str(path)):
        return [require_file(path)]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    return [file for file in matches if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]


@contextlib.contextmanager
def _opened(path: str | Path, error: type[InputError], stream: BinaryIO | None) -> Iterator[Image.Image]:
    """An open picture, header read; whatever Pillow raises in the block becomes one line."""
    if stream is None:
        path = require_file(path, error)
    with _quiet_pillow():
        try:
            heic = _register_heic(_head(path, stream))
            Image.init()
            formats = [name for name in _FORMATS if name in Image.OPEN]
            with Image.open(stream or path, formats=formats) as image:
                yield image
        except OvssError:
            raise
        except UnidentifiedImageError:
            kind = "a HEIC picture, which needs pillow-heif" if heic else "not a picture that can be read"
            remedy = "Run `pip install pillow-heif`, or export" if heic else "Export"
            raise error(f"this is {kind}.", path=path, hint=f"{remedy} it as JPEG or PNG.") from None
        except Image.DecompressionBombError as exc:
            raise error(f"the picture is too large: {exc}", path=path, hint="Scale it down.") from None
        except MemoryError as exc:
            raise ResourceError("not enough memory to decode the picture.", path=path) from exc
        except Exception as exc:  # decoders raise anything on broken bytes: SyntaxError, struct.error, ...
            reason = str(exc).rstrip(".") or type(exc).__name__
            raise error(f"the picture is broken: {reason}.", path=path, hint="Copy or export it again.") from exc


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Drops Pillow's own warnings: our checks and errors say what matters in one line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def _head(path: str | Path, stream: BinaryIO | None) -> bytes:
    """The first 12 bytes of the stream, which stays where it was, or of the file."""
    if stream is None:
        with open(path, "rb") as file:
            return file.read(12)
    place = stream.tell()
    head = stream.read(12)
    stream.seek(place)
    return head


def _register_heic(head: bytes) -> bool:
    """Whether a file that begins so is a HEIC picture; teaches Pillow to read those, where pillow-heif is installed."""
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIC_BRANDS:
        return False
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    return True


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
