"""The ground truth of a benchmark as pictures: masks, maps of labels, and the photos a builder makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.errors import MaskError
from ovss_personal.io.images import decode
from ovss_personal.structures import BoolMask, RGBImage

VOID = 65535
TrainIds = npt.NDArray[np.uint16]  # (H, W), the index of a word, or VOID


def read_mask(path: Path, size: tuple[int, int] | None = None) -> BoolMask:
    """(H, W) bool, true where a grey picture is at least half of 255; None accepts any size.

    CUB's annotation counts how many of five annotators saw the bird in a pixel, so half of them must have.

    Raises:
        MaskError: unreadable, in colour or with a palette, or not of this size.
    """
    picture = decode(path, error=MaskError)
    grey = _grey(picture)
    if grey is None:
        raise MaskError(
            f"expected a grey mask of 0 to 255, found a picture of mode {picture.mode}.",
            path=path,
            hint="Save it as a black and white PNG.",
        )
    if size is not None:
        check_size(grey.shape, size, path)
    return np.asarray(grey > 127)


def read_labels(path: Path, size: tuple[int, int] | None = None) -> TrainIds:
    """(H, W) uint16 from a 16-bit grey picture.

    Raises:
        MaskError: unreadable, not 16-bit grey, or not of this size.
    """
    picture = decode(path, error=MaskError)
    if not picture.mode.startswith("I;16"):
        raise MaskError(
            f"expected a 16-bit grey map of labels, found a picture of mode {picture.mode}.",
            path=path,
            hint="Prepare the labels again, as datasets/README.md says.",
        )
    labels = np.asarray(picture).astype(np.uint16)
    if size is not None:
        check_size(labels.shape, size, path)
    return labels


def save_photo(out: Path, name: str, image: RGBImage) -> str:
    """Write `out`/`name`.jpg; returns its path below `out`."""
    return _save(out, f"{name}.jpg", image, "JPEG", quality=95)


def save_mask(out: Path, name: str, mask: BoolMask) -> str:
    """Write `out`/`name`_mask.png, 255 on the object; returns its path below `out`."""
    return _save(out, f"{name}_mask.png", (mask * 255).astype(np.uint8), "PNG")


def save_labels(out: Path, name: str, labels: TrainIds) -> str:
    """Write `out`/`name`_labels.png, 16-bit grey; returns its path below `out`."""
    return _save(out, f"{name}_labels.png", labels, "PNG")


def _save(out: Path, name: str, pixels: npt.NDArray[Any], kind: str, **options: int) -> str:
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind, **options)  # not atomic: a manifest, written last, is what makes it count
    return name


def _grey(picture: Image.Image) -> npt.NDArray[np.uint8] | None:
    """(H, W) of 0 to 255; None if the picture is no grey one. Transparency does not count."""
    if picture.mode in ("1", "L", "LA"):
        return np.asarray(picture.convert("L"))
    if picture.mode in ("RGB", "RGBA"):
        red, green, blue = np.moveaxis(np.asarray(picture)[..., :3], 2, 0)
        return red if (red == green).all() and (green == blue).all() else None
    return None


def check_size(found: tuple[int, ...], size: tuple[int, ...], path: Path) -> None:
    """Raises MaskError unless the picture at `path`, of the size `found`, fits its photo; both are (H, W)."""
    if found != size:
        raise MaskError(
            f"is {found[1]}x{found[0]}, but its photo is {size[1]}x{size[0]} (width x height).",
            path=path,
            hint="Unpack the data set again.",
        )
