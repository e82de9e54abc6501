"""Photos from files: always upright RGB, uint8, of a sane size."""

from __future__ import annotations

import contextlib
import errno
import glob
import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ovss_personal.errors import ImageError, InputError, OvssError, OvssWarning, ResourceError
from ovss_personal.io.files import glob_files, reason, require_file
from ovss_personal.io.folders import IMAGE_SUFFIXES, left_out, no_photo, photo_files, tell_left_out
from ovss_personal.pixels.images import (
    MAX_PIXELS,
    brightened,
    check_pixels,
    check_size,
    orientation_of,
    quiet_pillow,
    rgb_of,
    to_rgb,
)
from ovss_personal.structures import RGBImage

__all__ = [
    "IMAGE_SUFFIXES",
    "as_image",
    "decode",
    "exif_orientation",
    "find_images",
    "load_image",
]

# Named, so that no file can reach the plugins that start other programs (EPS) or accept any bytes (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


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

    Raises:
        ImageError: as `load_image`; also any other type, dtype or shape.
    """
    if isinstance(source, (str, Path)):
        return load_image(source)
    image = rgb_of(source)
    check_size(image.shape[1], image.shape[0], None, MAX_PIXELS)
    return image


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
        deep = image.mode == "RGB" and ";16" in str(getattr(image, "tile", ""))  # known only before it is read
        image.load()
    if deep and error is ImageError:
        image = brightened(image, path)
    if animated:
        warnings.warn(f"{path}: only the first frame of the animation is used.", OvssWarning, stacklevel=2)
    return image


def exif_orientation(path: str | Path) -> int:
    """How a file's picture is stored, 1 (upright) to 8, as EXIF counts. Raises ImageError if it is no picture."""
    with _opened(path, ImageError, None) as image:
        return orientation_of(image)


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The photos that files, folders (not their subfolders) and glob patterns name; sorted, each once.

    A file named outright is taken whatever its suffix; hidden files are never found by folder or pattern. Of pictures
    in a folder that cannot be read there is an OvssWarning that names them.

    Raises:
        InputError: one of `paths` names no photo.
    """
    found: dict[str, Path] = {}
    for path in paths:
        try:
            matches = _matches(Path(path))
        except OSError as exc:
            raise InputError(f"cannot be read: {reason(exc)}.", path=path, hint="Check the path.") from exc
        if not matches and Path(path).is_dir():
            raise no_photo(Path(path))
        if not matches:
            raise InputError("no photo found here.", path=path, hint="Name a photo, a folder or a pattern.")
        for match in matches:
            found.setdefault(os.path.realpath(match), match)
    return sorted(found.values())


def _matches(path: Path) -> list[Path]:
    if path.is_dir():
        photos = photo_files(path)
        if photos:
            tell_left_out(path, left_out(path, photos))
        return photos
    if path.exists() or not glob.has_magic(str(path)):
        return [require_file(path)]
    return [file for file in glob_files(path) if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]


@contextlib.contextmanager
def _opened(path: str | Path, error: type[InputError], stream: BinaryIO | None) -> Iterator[Image.Image]:
    """An open picture, header read; whatever Pillow raises in the block becomes one line."""
    if stream is None:
        path = require_file(path, error)
    with quiet_pillow():
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
        except OSError as exc:
            if exc.errno in (None, errno.EINVAL):  # Pillow's own, of bytes that end too soon or lead nowhere
                raise _broken(exc, path, error) from exc
            raise error(
                f"cannot be read: {reason(exc)}.", path=path, hint="Check its permissions, and the disk that it is on."
            ) from exc
        except Exception as exc:  # decoders raise anything on broken bytes: SyntaxError, struct.error, ...
            raise _broken(exc, path, error) from exc


def _broken(exc: Exception, path: str | Path, error: type[InputError]) -> InputError:
    said = str(exc).rstrip(".") or type(exc).__name__
    return error(f"the picture is broken: {said}.", path=path, hint="Copy or export it again.")


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
