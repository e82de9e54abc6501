"""A concept in a zip, as the page saves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ovss_personal.errors import ConceptError, ShotsError
from ovss_personal.io.archives import Unpacked

__all__ = ["unpacked_concept"]


@contextmanager
def unpacked_concept(path: Path) -> Iterator[Path]:
    """The concept's folder while the block runs; its errors name the zip.

    Raises:
        ConceptError: no zip that can be unpacked (`io.archives.Unpacked`).
    """
    try:
        unpacked = Unpacked(path)
    except ShotsError as error:
        raise ConceptError(error.message, path=path, hint=error.hint) from error
    try:
        yield unpacked.folder
    except ConceptError as error:
        raise ConceptError(error.message, path=path, hint=error.hint) from error
