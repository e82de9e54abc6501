"""Label Studio's exports JSON and JSON-MIN: polygons, boxes and ellipses in percent, and brushes run-length coded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ovss_personal.errors import MaskError
from ovss_personal.io.formats.marks import (
    NAMELESS,
    Draw,
    Mark,
    MarkedPhoto,
    draw_box,
    draw_ellipse,
    draw_polygon,
    draw_problem,
    photo_size,
    text_of,
)
from ovss_personal.io.images import IMAGE_SUFFIXES
from ovss_personal.structures import BoolMask

__all__ = ["decode_brush", "is_json", "is_json_min", "read_json_export", "read_json_min"]

_PERCENT = 100.0
_OPAQUE = 127
_MIN_KEYS = {"annotation_id", "annotator", "lead_time"}


def is_json(content: Any) -> bool:
    """Whether this is the export "JSON": a list of tasks."""
    return _is_list(content) and all(
        isinstance(task.get("data"), dict) and ("annotations" in task or "completions" in task) for task in content
    )


def is_json_min(content: Any) -> bool:
    """Whether this is the export "JSON-MIN": a list of annotations, each with the fields of its task."""
    return _is_list(content) and all(_MIN_KEYS & task.keys() for task in content)


def read_json_export(content: Any, path: Path) -> list[MarkedPhoto]:
    """The photos of the tasks, with the marks of their one annotation that is not cancelled.

    A task that several people annotated is a problem when its mask is wanted, unless one of the annotations is the
    ground truth.

    Raises:
        MaskError: a size that is none.
    """
    photos = []
    for task in content:
        annotations = task.get("annotations", task.get("completions"))
        records = annotations if isinstance(annotations, list) else []
        records = [record for record in records if isinstance(record, dict) and not record.get("was_cancelled")]
        results = [_regions(record.get("result")) for record in records]
        truths = [regions for record, regions in zip(records, results, strict=True) if record.get("ground_truth")]
        chosen = truths if len(truths) == 1 else [regions for regions in results if regions]
        photos.append(_photo(task.get("id"), task["data"], chosen, path))
    return photos


def read_json_min(content: Any, path: Path) -> list[MarkedPhoto]:
    """As `read_json_export`, of the shorter export, where every annotation is an entry of its own."""
    photos: dict[str, tuple[dict[str, Any], list[list[dict[str, Any]]]]] = {}
    for entry in content:
        lists = [value for value in entry.values() if isinstance(value, list)]
        regions = [region for value in lists for region in _regions(value)]
        _, annotations = photos.setdefault(str(entry.get("id")), (entry, []))
        annotations += [regions] if regions else []
    return [_photo(number, entry, annotations, path) for number, (entry, annotations) in photos.items()]


def _photo(task: Any, data: Mapping[str, Any], annotations: list[list[dict[str, Any]]], path: Path) -> MarkedPhoto:
    name = f"task {task}"
    regions = [region for annotation in annotations for region in annotation]
    sizes = [photo_size(region.get("original_height"), region.get("original_width"), path) for region in regions]
    known = {size for size in sizes if size is not None}
    marks = [
        mark for number, region in enumerate(regions, 1) for mark in _marks(region, path, f"{name}, region {number}")
    ]
    if len(annotations) > 1:
        several = draw_problem(
            f"{name} holds {len(annotations)} annotations, each of the whole photo.",
            path,
            "Keep one of them, or star it as ground truth, and export again.",
        )
        marks = [Mark(mark.category, several) for mark in marks]
    return MarkedPhoto(path, _file_name(data) or name, known.pop() if len(known) == 1 else None, tuple(marks))


def _file_name(data: Mapping[str, Any]) -> str | None:
    """The first text that is the address of a picture; which field holds the photo is a matter of the project."""
    texts = [value for value in data.values() if isinstance(value, str) and value.strip("./\\")]
    pictures = [
        text for text in texts if any(PurePosixPath(part).suffix.lower() in IMAGE_SUFFIXES for part in text.split("?"))
    ]
    return next(iter([*pictures, *texts]), None)


def _marks(region: dict[str, Any], path: Path, what: str) -> list[Mark]:
    """One mark for each label of a region."""
    draw = _shape(region["value"], path, what)
    if draw is None:
        return []
    if region.get("image_rotation") not in (None, 0, 360):
        draw = draw_problem(
            f"{what}: the photo was turned by {region['image_rotation']!r:.20} degrees in Label Studio.",
            path,
            "Turn the photo itself, and mark it again.",
        )
    return [Mark(name, draw) for name in dict.fromkeys(_labels(region) or [NAMELESS])]


def _shape(value: dict[str, Any], path: Path, what: str) -> Draw | None:
    """None if it is no shape, as a choice or a text."""
    if "rle" in value:
        return _brush(value["rle"], path, what)
    if "points" in value:
        if value.get("closed") is False:
            return draw_problem(f"{what}: the polygon is not closed.", path, "Close it in Label Studio.")
        return draw_polygon(value["points"], path, what, share=_PERCENT)
    turned = value.get("rotation", 0)
    if {"x", "y", "radiusX", "radiusY"} <= value.keys():
        ellipse = [value[key] for key in ("x", "y", "radiusX", "radiusY")]
        return draw_ellipse([*ellipse, turned], path, what, share=_PERCENT)
    if {"x", "y", "width", "height"} <= value.keys() and "keypointlabels" not in value:
        box = [value[key] for key in ("x", "y", "width", "height")]
        return draw_box([*box, turned], path, what, share=_PERCENT)
    return None


def _brush(rle: Any, path: Path, what: str) -> Draw:
    def draw(size: tuple[int, int]) -> BoolMask:
        try:
            if not isinstance(rle, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in rle):
                raise ValueError("it is no list of bytes")
            values = decode_brush(bytes(rle), 4 * size[0] * size[1])
        except ValueError as error:
            raise MaskError(
                f"{what}: the brush cannot be read: {error}.",
                path=path,
                hint="Export the project again as JSON, or as COCO.",
            ) from None
        return np.asarray(values.reshape(*size, 4)[..., 3] > _OPAQUE)

    return draw


def decode_brush(data: bytes, length: int) -> npt.NDArray[np.uint8]:
    """The values that Label Studio's brush packs, as thi.ng's rle-pack does: RGBA, of which alpha is the mask.

    A stream of bits: the number of values (32), the bits of a value less one (5), four times the bits of a run's length
    less one (4 each). Then runs: whether one value is repeated (1), which of the four sizes the length has (2), the
    length less one, and the value or the values.

    Args:
        data: the bytes.
        length: how many values there have to be.

    Raises:
        ValueError: the bytes end too early, or hold another number of values.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    place = 0

    def read(size: int) -> int:
        nonlocal place
        if place + size > len(bits):
            raise ValueError("it ends too early")
        first, last = place // 8, (place + size + 7) // 8
        value = int.from_bytes(data[first:last]) >> (8 * last - place - size)
        place += size
        return value & ((1 << size) - 1)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    if count != length or word != 8:
        raise ValueError(f"it holds {count} values of {word} bits, but the photo {length} of 8")
    values = np.empty(count, np.uint8)
    done = 0
    while done < count:
        repeated = read(1)
        end = done + 1 + read(sizes[read(2)])
        if end > count:
            raise ValueError("a run is longer than the photo")
        if repeated:
            values[done:end] = read(word)
        else:
            if place + word * (end - done) > len(bits):
                raise ValueError("it ends too early")
            values[done:end] = np.packbits(bits[place : place + word * (end - done)])
            place += word * (end - done)
        done = end
    return values


def _regions(value: Any) -> list[dict[str, Any]]:
    """The regions of a result that are shapes.

    Those of JSON-MIN have their values beside the rest, not under `value`. A brush with labels of another tag is there
    twice under one id: with the labels and without, of which the first is enough.
    """
    records = [record for record in value if isinstance(record, dict)] if isinstance(value, list) else []
    regions = [record if isinstance(record.get("value"), dict) else {**record, "value": record} for record in records]
    regions = [region for region in regions if _shape(region["value"], Path(), "") is not None]
    named = {str(region["id"]) for region in regions if "id" in region and _labels(region)}
    return [region for region in regions if _labels(region) or str(region.get("id")) not in named]


def _labels(region: dict[str, Any]) -> list[str]:
    lists = [names for key, names in region["value"].items() if key.endswith("labels") and isinstance(names, list)]
    return [name for names in lists for name in map(text_of, names) if name]


def _is_list(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and all(isinstance(entry, dict) for entry in content)
