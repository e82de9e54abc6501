"""Pictures of classes by colour, with a list of the colours: CVAT's "Segmentation mask 1.1", after Pascal VOC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError
from ovss_personal.io.files import list_files
from ovss_personal.io.formats.marks import Mark, MarkedPhoto
from ovss_personal.io.images import decode
from ovss_personal.structures import BoolMask

__all__ = ["LABEL_MAP", "is_label_map", "read_label_map"]

LABEL_MAP = "labelmap.txt"
_FOLDER = "SegmentationClass"
_BACKGROUND = (0, 0, 0)
Colour = tuple[int, int, int]
_LINE = re.compile(r"\s*([^#:][^:]*):([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}):[^:]*:[^:]*\s*")


def is_label_map(text: str) -> bool:
    """Whether this is `label:red,green,blue:parts:actions` line by line; comments begin with #."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and all(_LINE.fullmatch(line) for line in lines)


def read_label_map(text: str, path: Path) -> list[MarkedPhoto]:
    """The photos whose classes are painted in the folder SegmentationClass beside `labelmap.txt`.

    Black is the background, whatever its label is called. Pictures with a palette are taken by colour too.

    Args:
        text: what `is_label_map` accepted.
        path: the file.

    Raises:
        MaskError: no such folder, a picture that cannot be read, or a colour without a label.
    """
    names: dict[Colour, str] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            label, red, green, blue = match.groups()
            names[int(red), int(green), int(blue)] = label.strip()
    folder = path.parent / _FOLDER
    if not folder.is_dir():
        raise MaskError(f"there is no folder {_FOLDER} beside it.", path=path, hint="Unpack the whole export.")
    return [_photo(picture, names) for picture in list_files(folder) if picture.suffix.lower() == ".png"]


def _photo(picture: Path, names: dict[Colour, str]) -> MarkedPhoto:
    codes = _codes(picture, tuple(names))
    marks = []
    for code in np.unique(codes).tolist():
        colour = (code >> 16, code >> 8 & 255, code & 255)
        if colour == _BACKGROUND:
            continue
        if colour not in names:
            raise MaskError(
                f"the colour {','.join(map(str, colour))} is not in {LABEL_MAP}.",
                path=picture,
                hint="Export pictures and labels together again.",
            )
        marks.append(Mark(names[colour], partial(_draw, picture=picture, colours=tuple(names), code=code)))
    size = (codes.shape[0], codes.shape[1])
    return MarkedPhoto(picture, picture.stem, size, tuple(marks))


def _draw(size: tuple[int, int], *, picture: Path, colours: Sequence[Colour], code: int) -> BoolMask:
    return np.asarray(_codes(picture, colours) == code)


def _codes(picture: Path, colours: Sequence[Colour]) -> npt.NDArray[np.uint32]:
    """(h, w) red, green and blue in one number."""
    image = decode(picture, error=MaskError)
    if image.mode == "L":  # one channel holds places in the list of labels
        return _by_place(np.asarray(image), colours, picture)
    pixels = np.asarray(image.convert("RGB")).astype(np.uint32)
    return np.asarray(pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], dtype=np.uint32)


def _by_place(places: npt.NDArray[np.uint8], colours: Sequence[Colour], picture: Path) -> npt.NDArray[np.uint32]:
    if places.max() >= len(colours):
        raise MaskError(
            f"label {places.max()} is not in {LABEL_MAP}, which has {len(colours)} lines from 0.",
            path=picture,
            hint="Export pictures and labels together again.",
        )
    table = np.array([red << 16 | green << 8 | blue for red, green, blue in colours], dtype=np.uint32)
    codes: npt.NDArray[np.uint32] = table[places]
    return codes
