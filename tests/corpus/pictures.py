"""Photos, whole and broken."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 24
HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def _gradient() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns * 6, rows * 10, 255 - columns * 3 - rows * 5], axis=2).astype(np.uint8)


PHOTO = _gradient()
"""(24, 40, 3) uint8, different in every pixel."""


def write_photo(path: Path, pixels: np.ndarray = PHOTO, orientation: int = 1, **options: Any) -> Path:
    """Any format by its suffix; `orientation` goes into the EXIF data, the pixels are stored as given."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is `width` x `height` pixels and holds almost none of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, kind)
    return stream.getvalue()


BROKEN_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.jpg": (lambda: b"", "the file is empty"),
    "text.jpg": (lambda: b"this is no picture\n" * 9, "not a picture"),
    "page.png": (lambda: b"<!DOCTYPE html><title>404</title>", "not a picture"),
    "half.jpg": (lambda: _encoded("JPEG")[:-60], "the picture is broken: image file is truncated"),
    "half.png": (lambda: _encoded("PNG")[:-60], "the picture is broken"),
    "phone.heic": (lambda: HEIC_HEAD, "a HEIC picture, which needs pillow-heif"),
    "phone.jpg": (lambda: HEIC_HEAD, "a HEIC picture, which needs pillow-heif"),
    "print.eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 24\n", "not a picture"),
    "bomb.png": (lambda: png_header(10_000, 9_000), "10000x9000 pixels .* over 89 million"),
    "huge.png": (lambda: png_header(60_000, 60_000), "too large"),
}
"""Name -> what makes the bytes, and a pattern of what the error says."""


def write_broken(folder: Path, name: str) -> Path:
    """One of BROKEN_PICTURES."""
    path = folder / name
    path.write_bytes(BROKEN_PICTURES[name][0]())
    return path
