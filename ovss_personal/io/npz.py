"""The mask in an `.npz` file of numpy."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError
from ovss_personal.io.files import require_file
from ovss_personal.pixels.images import MAX_PIXELS

__all__ = ["load_npz"]

_KEYS = ("mask", "masks", "segmentation")
_MOST_BYTES = 16 * MAX_PIXELS  # the widest numbers


def load_npz(path: str | Path) -> npt.NDArray[Any]:
    """The only array of the file, or else the one called mask, masks or segmentation; of any type and shape.

    Runs no pickle, and unpacks nothing that says it is larger than masks are.

    Raises:
        MaskError: unreadable, too large, or several arrays of which none or more than one has such a name.
    """
    path = require_file(path, MaskError)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry for entry in archive.namelist() if entry.endswith(".npy")]
            entry = archive.getinfo(_chosen(names, path))
            if entry.file_size > _MOST_BYTES:
                raise MaskError(f"the array is {entry.file_size} bytes large.", path=path, hint="Scale it down.")
            with archive.open(entry) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shape, _, kind = _header(stream)
                if shape and int(np.prod(shape, dtype=object)) * kind.itemsize > entry.file_size:
                    raise ValueError("its header says that it is larger than the file")
            with archive.open(entry) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
                return array
    except MaskError:
        raise
    except Exception as exc:  # a broken header raises anything
        reason = str(exc).rstrip(".") or type(exc).__name__
        raise MaskError(
            f"this is not a readable .npz file: {reason:.200}.", path=path, hint="Save it with numpy.savez."
        ) from exc


def _chosen(entries: list[str], path: Path) -> str:
    names = {entry.removesuffix(".npy"): entry for entry in entries}
    known = [name for name in _KEYS if name in names]
    if len(known) == 1 or (len(names) == 1 and not known):
        return names[known[0]] if known else entries[0]
    listed = ", ".join(sorted(names)) or "none"
    raise MaskError(
        f"expected one array, or one called {', '.join(_KEYS)}; found {listed}.",
        path=path,
        hint="Save the mask alone, as in numpy.savez('1.npz', mask=mask).",
    )


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)
