"""COCO's instances: every thing in its photos that has one of the 80 words, with its mask.

Two trees are read: COCO's own (`annotations/instances_*.json`), and that of YOLO's segmenters (`images/`, and
`labels/` with a polygon a line), in which coco128-seg comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ovss_personal.benchmarks.choice import class_lines, listed, raw_path, rng_of
from ovss_personal.benchmarks.instances import Instance, InstanceSet, Photo, run_lengths, write_instances
from ovss_personal.benchmarks.pictures import check_size
from ovss_personal.errors import InputError, MaskError
from ovss_personal.io.annotations import fill_rings, finite_numbers, read_json
from ovss_personal.io.coco import coco_records, coco_size, draw_segmentation
from ovss_personal.io.files import sha256_file
from ovss_personal.io.images import IMAGE_SUFFIXES, load_image
from ovss_personal.structures import BoolMask

_FIRST = "instances_val2017.json"
_HINT = "Name the folder that holds annotations/ and val2017/, or images/ and labels/; see datasets/README.md."


def build(root: Path, out: Path, photos: int | None = None, seed: int = 0) -> Path:
    """Write the benchmark below `out`; returns its path. Same seed, same bytes.

    Photos without any instance are left out, and so are instances that do not fill a pixel. Crowds are void.

    Args:
        root: the folder of `annotations/`, or of `images/` and `labels/`.
        out: where the benchmark goes.
        photos: how many, at most; all by default.
        seed: decides which.

    Raises:
        InputError: `root` is neither, or a part of it is missing or broken.
    """
    if (root / "annotations").is_dir():
        words, found = _coco(root, photos, seed)
    elif (root / "labels").is_dir():
        words, found = _yolo(root, photos, seed)
    else:
        raise InputError("this is not COCO: there is neither annotations/ nor labels/ here.", path=root, hint=_HINT)
    kept = tuple(photo for photo in tqdm(found, desc="coco", disable=None) if photo.instances)
    if not kept:
        raise InputError("there is no photo with an instance here.", path=root, hint=_HINT)
    return write_instances(InstanceSet("coco", words, kept, out), data=root)


def _coco(root: Path, count: int | None, seed: int) -> tuple[tuple[str, ...], Iterable[Photo]]:
    files = {path.name: path for path in sorted((root / "annotations").glob("instances_*.json"))}
    if _FIRST not in files and len(files) != 1:
        raise InputError(
            f"there is no {_FIRST} here, but {listed(list(files), most=3) or 'no instances_*.json at all'}.",
            path=root / "annotations",
            hint="Unpack annotations_trainval2017.zip of COCO again, or leave one instances_*.json here.",
        )
    path = files.get(_FIRST) or next(iter(files.values()))
    folder = root / path.stem.removeprefix("instances_")
    content = read_json(path)
    categories = coco_records(content, "categories", path)
    words = tuple(str(record.get("name")) for record in categories)
    places = {record.get("id"): index for index, record in enumerate(categories)}
    annotations: dict[Any, list[dict[str, Any]]] = {}
    for record in coco_records(content, "annotations", path):
        if record.get("category_id") not in places:
            raise MaskError(
                f"annotation {record.get('id')} is of category {record.get('category_id')}, which is not in the file.",
                path=path,
                hint="Unpack COCO again.",
            )
        annotations.setdefault(record.get("image_id"), []).append(record)
    images = [image for image in coco_records(content, "images", path) if image.get("id") in annotations]
    chosen = _drawn(sorted(images, key=lambda image: str(image.get("file_name"))), count, seed)

    def photo(image: dict[str, Any]) -> Photo:
        file = folder / Path(str(image.get("file_name"))).name
        size = load_image(file).shape[:2]
        check_size(size, coco_size(image, path) or size, file)
        instances, void = [], np.zeros(size, bool)
        for record in annotations[image["id"]]:
            what = f"annotation {record.get('id')} ({file.name})"
            mask = draw_segmentation(record.get("segmentation"), (size[0], size[1]), path, what)
            if record.get("iscrowd"):
                void |= mask
            else:
                instances.append((places[record["category_id"]], mask))
        return _photo(root, file, instances, void)

    return words, map(photo, chosen)


def _yolo(root: Path, count: int | None, seed: int) -> tuple[tuple[str, ...], Iterable[Photo]]:
    words = tuple(class_lines("coco80"))
    labels = sorted((root / "labels").rglob("*.txt"))
    if not labels:
        raise InputError("there is no .txt with polygons here.", path=root / "labels", hint=_HINT)

    files = [file for file in sorted((root / "images").rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES]
    photos = {file.relative_to(root / "images").with_suffix(""): file for file in files}

    def photo(label: Path) -> Photo:
        name = label.relative_to(root / "labels").with_suffix("")
        if name not in photos:
            raise InputError(
                f"there is no photo of {label.relative_to(root)} here.",
                path=(root / "images" / name).parent,
                hint="Unpack the data set again.",
            )
        height, width = load_image(photos[name]).shape[:2]
        lines = label.read_text("utf-8", errors="replace").splitlines()
        instances = [
            _polygon(line, number, label, (height, width), len(words))
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        return _photo(root, photos[name], instances, np.zeros((height, width), bool))

    return words, map(photo, _drawn(labels, count, seed))


def _polygon(line: str, number: int, path: Path, size: tuple[int, int], words: int) -> tuple[int, BoolMask]:
    """The word and the (H, W) mask of a line `class x y x y …`, in shares of the width and the height."""
    kind, *texts = line.split()
    try:
        shares = finite_numbers([float(text) for text in texts])
    except ValueError:
        shares = None
    if not kind.isdecimal() or int(kind) >= words or shares is None or len(shares) < 6 or len(shares) % 2:
        raise MaskError(
            f"line {number}: expected a class from 0 to {words - 1} and x y of three points or more, found "
            f"'{line.strip()[:40]}'.",
            path=path,
            hint="Take the labels for segmentation; those of boxes have four numbers a line.",
        )
    return int(kind), fill_rings([(np.reshape(shares, (-1, 2)) * (size[1], size[0])).ravel().tolist()], size)


def _photo(root: Path, file: Path, instances: list[tuple[int, BoolMask]], void: BoolMask) -> Photo:
    kept = tuple(Instance(word, run_lengths(mask)) for word, mask in instances if mask.any())
    size = (void.shape[0], void.shape[1])
    return Photo(raw_path(root, file), sha256_file(file), size, kept, run_lengths(void) if void.any() else None)


def _drawn(rows: list[Any], count: int | None, seed: int) -> list[Any]:
    """At most `count` of them, in their order."""
    return [rows[int(index)] for index in sorted(rng_of(seed, "photos").permutation(len(rows))[:count])]
