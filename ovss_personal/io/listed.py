"""Photos and masks that belong together because one annotation file says so of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from ovss_personal.errors import MaskError, ShotsError
from ovss_personal.io.annotations import read_json
from ovss_personal.io.coco import coco_records, load_coco
from ovss_personal.io.formats.class_pictures import LABEL_MAP
from ovss_personal.io.formats.marks import Mark, MarkedPhoto, draw_problem
from ovss_personal.io.formats.table import COCO, AnnotationFile
from ovss_personal.io.images import decode
from ovss_personal.io.matching import Pair, Pairing
from ovss_personal.io.photo_names import PhotoIndex
from ovss_personal.structures import BoolMask

__all__ = ["brush_pairs", "brush_pictures", "coco_names", "listed_pairs"]

# Label Studio's "Brush labels to PNG"
_BRUSH = re.compile(r"task-(\d+)-annotation-(\d+)-by-.*?-tag-(.+)-(\d+)\.png", re.IGNORECASE)

_OPAQUE = 127


def listed_pairs(file: AnnotationFile, folder: Path, root: Path, category: str | None) -> Pairing:
    """The photos that a file names, in `folder` or its usual subfolders; sorted by name, which is from `root`.

    Of a COCO JSON, the photos of one category; of any other, all that have a mark.

    Raises:
        MaskError: the file is broken, not read, or has no such category.
    """
    index = PhotoIndex(folder)
    if file.format is COCO:
        return _coco_pairs(file.path, folder, root, category)
    pairs: dict[Path, Pair] = {}
    unpaired: dict[Path, str] = {}
    mentioned = set()
    for marked in file.photos():
        image = index.find_stem(marked.file_name) if file.path.name == LABEL_MAP else index.find(marked.file_name)
        if image is None:
            unpaired[_missing(folder, marked.file_name)] = f"named in {file.path.name}, but not there"
        elif image in mentioned:
            pairs.pop(image, None)
            unpaired[image] = f"named more than once in {file.path.name}"
        elif not marked.marks:
            unpaired[image] = f"the object is not annotated in {file.path.name}"
        else:
            name = image.relative_to(root).as_posix()
            pairs[image] = Pair(image, marked.path, name, marked=marked)
        mentioned |= {image} if image else set()
    unpaired.update({path: f"not named in {file.path.name}" for path in index.photos() if path not in mentioned})
    return Pairing(tuple(sorted(pairs.values(), key=lambda pair: pair.name)), unpaired)


def _coco_pairs(path: Path, folder: Path, root: Path, category: str | None) -> Pairing:
    index = PhotoIndex(folder)
    pairs: list[Pair] = []
    unpaired: dict[Path, str] = {}
    mentioned = set()
    for coco in load_coco(path, category):
        image = index.find(coco.file_name)
        mentioned.add(image)
        if image is None:
            unpaired[_missing(folder, coco.file_name)] = f"named in {path.name}, but not there"
        elif not coco.annotations:
            unpaired[image] = f"the object is not annotated in {path.name}"
        else:
            pairs.append(Pair(image, path, image.relative_to(root).as_posix(), coco))
    unpaired.update({file: f"not named in {path.name}" for file in index.photos() if file not in mentioned})
    return Pairing(tuple(sorted(pairs, key=lambda pair: pair.name)), unpaired)


def coco_names(path: Path) -> set[str]:
    """The categories of which a COCO JSON has annotations. Raises MaskError if it is broken."""
    content = read_json(path)
    names = {_key(record.get("id")): str(record.get("name")) for record in coco_records(content, "categories", path)}
    used = {_key(record.get("category_id")) for record in coco_records(content, "annotations", path)}
    return {names[number] for number in used & names.keys()}


def _key(value: object) -> str:
    """An id as text, in which some tools write it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def brush_pictures(files: Sequence[Path]) -> list[Path]:
    """Those whose names are of Label Studio's "Brush labels to PNG", which say nothing of the photo's name."""
    return [file for file in files if _BRUSH.fullmatch(file.name)]


def brush_pairs(root: Path, pictures: Sequence[Path]) -> Pairing:
    """The one photo with the pictures of the one task. Raises ShotsError if there are several of either."""
    tasks: dict[str, list[re.Match[str]]] = {}
    places = {picture.name: picture for picture in pictures}
    for match in filter(None, map(_BRUSH.fullmatch, places)):
        tasks.setdefault(match[1], []).append(match)
    photos = [photo for photo in PhotoIndex(root).photos() if photo not in pictures]
    if len(tasks) != 1 or len(photos) != 1:
        raise ShotsError(
            f"the masks are named after tasks of Label Studio ({', '.join(sorted(tasks))}), not after their photos; "
            f"found {len(photos)} of those.",
            path=root,
            hint="In Label Studio, export JSON instead; or rename each mask to its photo's name.",
        )
    [(task, matches)] = tasks.items()
    several = len({match[2] for match in matches}) > 1
    marks = []
    for match in matches:
        draw: Callable[[tuple[int, int]], BoolMask] = partial(_draw, picture=places[match[0]])
        if several:
            draw = draw_problem(f"task {task} has several annotations.", root, "Keep the pictures of one of them.")
        marks.append(Mark(match[3], draw))
    with_size = decode(places[matches[0][0]], error=MaskError)
    marked = MarkedPhoto(root, f"task {task}", (with_size.height, with_size.width), tuple(marks))
    name = photos[0].relative_to(root).as_posix()
    return Pairing((Pair(photos[0], places[matches[0][0]], name, marked=marked),), {})


def _draw(size: tuple[int, int], *, picture: Path) -> BoolMask:
    """The alpha that Label Studio writes as grey, 0 to 255."""
    grey = np.asarray(decode(picture, error=MaskError).convert("L"))
    if grey.shape != size:
        raise MaskError("the pictures of one task have several sizes.", path=picture, hint="Export them again.")
    return np.asarray(grey > _OPAQUE)


def _missing(folder: Path, name: str) -> Path:
    return folder / (PurePosixPath(name.replace("\\", "/")).name or name)
