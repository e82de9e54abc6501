"""What `segment` found, in the formats of annotation tools, so that it can go on in the tool that it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ovss_personal.errors import OutputError, UsageError
from ovss_personal.io.writers.found import FoundPhoto, found_photos, shared_names
from ovss_personal.io.writers.json_files import coco_files, labelme_files
from ovss_personal.io.writers.other_files import cvat_files, png_files, yolo_files

__all__ = ["WRITERS", "chosen_formats", "written"]

Writer = Callable[[list[FoundPhoto], list[str], Path], dict[str, bytes]]
"""Photos, words, and the folder that the files will be in -> the files by their names in it."""

WRITERS: dict[str, Writer] = {
    "coco": coco_files,
    "labelme": labelme_files,
    "yolo": yolo_files,
    "cvat": cvat_files,
    "png": png_files,
}
_ONE_A_PHOTO = {"labelme", "yolo", "png"}


def chosen_formats(said: Sequence[str], sources: Sequence[Path]) -> list[str]:
    """The formats of the command line, each once.

    Args:
        said: names by comma, by repetition, or both.
        sources: the photos that will be segmented.

    Raises:
        UsageError: an unknown format.
        OutputError: two photos would have one file, as they differ in nothing but their suffix; or as `shared_names`.
    """
    names = [name.strip().casefold() for one in said for name in one.split(",")]
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"there is no format '{name}'.", hint=f"Choose among {', '.join(WRITERS)}.")
    photos: dict[str, str] = {}
    for name in shared_names(sources) if _ONE_A_PHOTO & set(names) else ():
        if (other := photos.setdefault(PurePosixPath(name).with_suffix("").as_posix().casefold(), name)) != name:
            raise OutputError(
                f"{other} and {name} would have one annotation file.",
                path=sources[0].parent,
                hint="Rename one of them, or choose --format coco or cvat.",
            )
    return list(dict.fromkeys(names))


def written(formats: Sequence[str], rows: Sequence[Mapping[str, Any]], out: Path) -> dict[Path, bytes]:
    """The files of several formats, each in a folder of `out` that is called like it.

    Args:
        formats: what `chosen_formats` gave.
        rows: the `photos` of a result.json.
        out: the folder that result.json is in; nothing is written here.

    Raises:
        OutputError: as `shared_names`.
    """
    if not formats:
        return {}
    photos, words = found_photos(rows)
    return {
        out / name / file: data for name in formats for file, data in WRITERS[name](photos, words, out / name).items()
    }
