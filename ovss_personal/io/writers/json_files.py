"""COCO's one JSON for all photos, and LabelMe's JSON for each."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovss_personal.io.writers.contours import pieces_of, simplified
from ovss_personal.io.writers.found import FoundPhoto, FoundWord
from ovss_personal.structures import BoolMask

__all__ = ["coco_files", "labelme_files"]


def coco_files(photos: list[FoundPhoto], words: list[str], folder: Path) -> dict[str, bytes]:
    """`annotations.json`: polygons; of a mask with holes, which COCO's polygons cannot have, run lengths.

    Args:
        photos: what was found.
        words: all words; their places, from 1, are the ids of the categories.
        folder: where the file will be.
    """
    ids = {word: number for number, word in enumerate(words, 1)}
    content: dict[str, Any] = {
        "images": [
            {"id": number, "file_name": photo.name, "height": photo.size[0], "width": photo.size[1]}
            for number, photo in enumerate(photos, 1)
        ],
        "categories": [{"id": number, "name": word} for word, number in ids.items()],
        "annotations": [],
    }
    for number, photo in enumerate(photos, 1):
        for found in photo.present():
            annotation = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": ids[found.word]}
            content["annotations"].append({**annotation, **_annotation(found)})
    return {"annotations.json": _json(content)}


def labelme_files(photos: list[FoundPhoto], words: list[str], folder: Path) -> dict[str, bytes]:
    """NAME.json for each photo: a polygon for each piece; of a mask with holes, LabelMe's shape of type mask.

    Args:
        photos, words, folder: as in `coco_files`; `imagePath` leads from the file to the photo.
    """
    files = {}
    for photo in photos:
        name = f"{photo.stem}.json"
        shapes = [shape for number, found in enumerate(photo.present(), 1) for shape in _shapes(found, number)]
        files[name] = _json(
            {
                "version": "5.4.1",
                "flags": {},
                "shapes": shapes,
                "imagePath": _way(photo.source, (folder / name).parent),
                "imageData": None,
                "imageHeight": photo.size[0],
                "imageWidth": photo.size[1],
            }
        )
    return files


def _annotation(found: FoundWord) -> dict[str, Any]:
    mask = found.mask()
    pieces = pieces_of(mask)
    holes = any(piece.holes for piece in pieces)
    left, top, right, bottom = _box(mask)
    return {
        "iscrowd": 0,
        "segmentation": dict(found.segmentation)
        if holes
        else [simplified(piece.outer).ravel().tolist() for piece in pieces],
        "area": int(mask.sum()),
        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
        "score": found.score,
    }


def _shapes(found: FoundWord, group: int) -> list[dict[str, Any]]:
    mask = found.mask()
    pieces = pieces_of(mask)
    shared: dict[str, Any] = {
        "label": found.word,
        "group_id": group if len(pieces) > 1 else None,
        "description": "",
        "flags": {},
    }
    if not any(piece.holes for piece in pieces):
        return [
            {**shared, "points": simplified(piece.outer).tolist(), "shape_type": "polygon", "mask": None}
            for piece in pieces
        ]
    left, top, right, bottom = _box(mask)
    buffer = io.BytesIO()
    Image.fromarray(mask[top:bottom, left:right]).convert("L").save(buffer, format="PNG")
    corners = [[float(left), float(top)], [float(right - 1), float(bottom - 1)]]  # the last pixel, not its far side
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return [{**shared, "group_id": None, "points": corners, "shape_type": "mask", "mask": encoded}]


def _box(mask: BoolMask) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is true; right and bottom beyond it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _way(photo: Path, folder: Path) -> str:
    try:
        return os.path.relpath(photo, folder).replace(os.sep, "/")
    except ValueError:  # another drive
        return str(photo)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()
