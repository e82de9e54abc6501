"""The unlabelled photos that may stand beside the shots."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from ovss_personal.errors import ImageError, InputError, OvssWarning
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import find_images, load_image
from ovss_personal.structures import RGBImage, Shot

MOST_PHOTOS = 1000

__all__ = ["MOST_PHOTOS", "find_album", "load_album"]


def find_album(folder: str | Path, shots: Sequence[Shot]) -> list[Path]:
    """The photos of a folder (not its subfolders), each once, without those that are shots.

    They are in an order of their bytes, so that nothing that is learned from them depends on their names.

    Raises:
        InputError: there is no photo, more than `MOST_PHOTOS`, or none that is not a shot.
    """
    found = find_images([folder])
    if len(found) > MOST_PHOTOS:
        raise InputError(
            f"the album holds {len(found)} photos; at most {MOST_PHOTOS} are looked at.",
            path=folder,
            hint="Name a folder with those that may show it.",
        )
    known = {shot.sha256 for shot in shots}
    photos = {sha256_file(path): path for path in reversed(found)}
    others = [photos[digest] for digest in sorted(photos) if digest not in known]
    if not others:
        raise InputError(
            "every photo of the album is a shot.", path=folder, hint="Name a folder with other photos of it."
        )
    return others


def load_album(photos: Sequence[Path]) -> Iterator[RGBImage | None]:
    """Each photo, (H, W, 3) uint8, one at a time; None for one that cannot be used, with a warning.

    Raises:
        InputError: none of them can be used.
    """
    broken = 0
    for path in photos:
        try:
            yield load_image(path)
        except ImageError as error:
            broken += 1
            if broken == len(photos):
                raise InputError(
                    f"no photo of the album can be used; of the last: {error.message}", path=path, hint=error.hint
                ) from error
            warnings.warn(f"{error} It is left out of the album.", OvssWarning, stacklevel=2)
            yield None
