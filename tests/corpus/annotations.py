"""COCO and LabelMe JSON, from which a test changes what it wants broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from corpus.pictures import HEIGHT, WIDTH

POLYGON = [5, 3, 20, 3, 20, 15, 5, 15]
"""The ring around MASK."""


def coco_image(id: int = 1, file_name: str = "1.jpg", **changes: Any) -> dict[str, Any]:
    return {"id": id, "file_name": file_name, "height": HEIGHT, "width": WIDTH, **changes}


def coco_annotation(segmentation: Any = (POLYGON,), **changes: Any) -> dict[str, Any]:
    if isinstance(segmentation, tuple):
        segmentation = list(segmentation)
    return {"id": 7, "image_id": 1, "category_id": 1, "segmentation": segmentation, **changes}


def write_coco(
    path: Path,
    *annotations: dict[str, Any],
    images: list[dict[str, Any]] | None = None,
    categories: tuple[str, ...] = ("mug",),
) -> Path:
    """Categories get the ids 1, 2, ... in their order; without `images` there is the standard one."""
    content = {
        "images": [coco_image()] if images is None else images,
        "annotations": list(annotations),
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
    }
    path.write_text(json.dumps(content))
    return path


def labelme_shape(points: Any = ((5, 3), (20, 15)), kind: str = "rectangle", **changes: Any) -> dict[str, Any]:
    return {"label": "mug", "points": points, "shape_type": kind, **changes}


def write_labelme(path: Path, *shapes: dict[str, Any], **changes: Any) -> Path:
    content = {
        "version": "5.4.1",
        "shapes": list(shapes),
        "imagePath": f"{path.stem}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **changes,
    }
    path.write_text(json.dumps(content))
    return path
