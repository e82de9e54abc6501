"""Which files of a folder are photos, and which are pictures that cannot be read: by name, and by their first bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from ovss_personal.errors import InputError, OvssWarning, counted
from ovss_personal.io.files import list_files

__all__ = ["IMAGE_SUFFIXES", "left_out", "no_photo", "photo_files", "tell_left_out"]

IMAGE_SUFFIXES = {
    *(".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe"),
    *(".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"),
    ".webp",
}
# A camera's raw file is a TIFF by its first bytes, but what Pillow finds in it is a thumbnail.
_RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"),
    *(".rwl", ".sr2", ".srw", ".x3f"),
}
_OTHER_SUFFIXES = _RAW_SUFFIXES | {
    *(".avifs", ".dds", ".dib", ".eps", ".exr", ".hdr", ".heics", ".icns", ".ico", ".jls", ".jxl", ".jxr", ".kra"),
    *(".pcx", ".psd", ".qoi", ".svg", ".tga", ".wmf", ".xcf"),
}
_UNFINISHED = {".bak", ".crdownload", ".download", ".part", ".partial", ".tmp"}
_MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")  # of boxes, in bytes 8 to 11
_JPEG_XL = b"\0\0\0\x0cJXL "
_NAMED = 12  # at most


def photo_files(folder: Path) -> list[Path]:
    """The photos directly in a folder, sorted: by suffix, or, with another suffix or none, by their first bytes.

    Raises:
        InputError: the folder cannot be listed.
    """
    return [file for file in list_files(folder) if file.suffix.lower() in IMAGE_SUFFIXES or _is_picture(file)]


def left_out(folder: Path, found: Iterable[Path]) -> list[Path]:
    """The other pictures in a folder, of kinds that cannot be read or under names that say nothing; sorted.

    Raises:
        InputError: the folder cannot be listed.
    """
    known = set(found)
    return [
        file
        for file in list_files(folder)
        if file not in known and (file.suffix.lower() in _OTHER_SUFFIXES or _is_picture(file) or _is_jpeg_xl(file))
    ]


def tell_left_out(folder: Path, files: list[Path]) -> None:
    """Warns of pictures that are left out, if there are any."""
    if files:
        warnings.warn(f"{folder}: {_listed(files)}. Export them as JPEG or PNG.", OvssWarning, stacklevel=3)


def no_photo(folder: Path) -> InputError:
    """What there is to say of a folder without a photo."""
    others = left_out(folder, [])
    told = f"; {_listed(others)}" if others else ""
    remedy = "Export them as JPEG or PNG." if others else "Name a photo, a folder or a pattern."
    return InputError(f"no photo found here{told}.", path=folder, hint=remedy)


def _listed(files: list[Path]) -> str:
    names = ", ".join(file.name for file in files[:_NAMED])
    return f"{counted(len(files), 'file')} left out: {names}" + (", ..." if len(files) > _NAMED else "")


def _is_picture(file: Path) -> bool:
    if file.suffix.lower() in _RAW_SUFFIXES | _UNFINISHED:
        return False
    head = _head(file)
    boxed = head[4:8] == b"ftyp" and head[8:12] in _BRANDS
    return head.startswith(_MAGIC) or boxed or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _is_jpeg_xl(file: Path) -> bool:
    return _head(file).startswith(_JPEG_XL)


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(12)
    except OSError:
        return b""
