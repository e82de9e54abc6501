"""What annotation tools export, in their own layouts, of the standard mask or any other on the standard photo."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from corpus.masks import MASK
from corpus.pictures import HEIGHT, WIDTH

CORNERS = ((5, 3), (20, 3), (20, 15), (5, 15))
"""The corners of MASK."""


def rle(mask: np.ndarray = MASK) -> dict[str, Any]:
    """COCO's compressed run lengths."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def percent(corners: Any = CORNERS, size: tuple[int, int] = (HEIGHT, WIDTH), whole: float = 100) -> list[list[float]]:
    return [[x * whole / size[1], y * whole / size[0]] for x, y in corners]


def brush(mask: np.ndarray = MASK) -> list[int]:
    """Label Studio's brush: RGBA, alpha on the mask, packed by runs and, where they are short, value by value."""
    values = np.repeat((mask * 255).astype(np.uint8).ravel(), 4)
    sizes = (3, 4, 8, 16)
    bits = f"{values.size:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    place = 0
    while place < len(values):
        run = 1
        while place + run < len(values) and values[place + run] == values[place] and run < 1 << 16:
            run += 1
        if run == 4:  # some of them value by value
            bits += f"0{0:02b}{run - 1:03b}" + f"{values[place]:08b}" * run
        else:
            which = next(n for n, size in enumerate(sizes) if run <= 1 << size)
            bits += f"1{which:02b}{run - 1:0{sizes[which]}b}{values[place]:08b}"
        place += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


def ls_region(kind: str = "brushlabels", label: str = "mug", **value: Any) -> dict[str, Any]:
    value = value or {"format": "rle", "rle": brush()}
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: [label]},
        "id": f"{kind}{label}{len(value)}",
        "from_name": "tag",
        "to_name": "image",
        "type": kind,
        "origin": "manual",
    }


def ls_polygon(label: str = "mug", corners: Any = CORNERS) -> dict[str, Any]:
    return ls_region("polygonlabels", label, points=percent(corners), closed=True)


def ls_task(*regions: dict[str, Any], number: int = 1, image: str = "/data/upload/1/0a1b2c3d-1.jpg") -> dict[str, Any]:
    annotation = {"id": number, "result": list(regions), "was_cancelled": False, "ground_truth": False}
    return {"id": number, "annotations": [annotation], "data": {"image": image}, "predictions": []}


def ls_min(*regions: dict[str, Any], number: int = 1, image: str = "/data/upload/1/0a1b2c3d-1.jpg") -> dict[str, Any]:
    """An entry of JSON-MIN, where the values stand beside the sizes."""
    sizes = ("original_width", "original_height")
    flat = [{**region["value"], **{key: region[key] for key in sizes}} for region in regions]
    return {"image": image, "id": number, "tag": flat, "annotator": 1, "annotation_id": number, "lead_time": 4.2}


def yolo_line(corners: Any = CORNERS, number: int = 0) -> str:
    return " ".join([str(number), *(f"{value:.8f}" for pair in percent(corners, whole=1) for value in pair)])


def cvat_xml(*shapes: str, name: str = "1.jpg", images: str = "") -> str:
    shown = f'<image id="0" name="{name}" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</image>'
    meta = "<version>1.1</version><meta><task><id>1</id></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{shown}{images}</annotations>'


def cvat_polygon(label: str = "mug", corners: Any = CORNERS) -> str:
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="0"></polygon>'


def cvat_mask(label: str = "mug", mask: np.ndarray = MASK) -> str:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    flat = np.concatenate(([False], box.ravel(), [not box.flat[-1]]))
    counts = np.diff(np.concatenate(([0], np.flatnonzero(np.diff(flat)))))
    place = f'left="{columns[0]}" top="{rows[0]}" width="{box.shape[1]}" height="{box.shape[0]}"'
    return f'<mask label="{label}" rle="{", ".join(map(str, counts.tolist()))}" {place} z_order="0"></mask>'


def via_region(label: str | None = "mug", **shape: Any) -> dict[str, Any]:
    shape = shape or {
        "name": "polygon",
        "all_points_x": [x for x, _ in CORNERS],
        "all_points_y": [y for _, y in CORNERS],
    }
    return {"shape_attributes": shape, "region_attributes": {} if label is None else {"class": label}}


def via(*regions: dict[str, Any], name: str = "1.jpg") -> dict[str, Any]:
    """The annotations of VIA 2; its project has them under `_via_img_metadata`."""
    return {f"{name}1234": {"filename": name, "size": 1234, "regions": list(regions), "file_attributes": {}}}


def supervisely(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": list(objects)}


def bitmap(mask: np.ndarray = MASK, label: str = "mug", mode: str = "RGBA") -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    crop = Image.fromarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    if mode == "RGBA":  # as Supervisely writes it: white, and alpha on the object
        white = Image.new("RGBA", crop.size, "white")
        white.putalpha(crop.convert("L"))
        crop = white
    buffer = io.BytesIO()
    crop.convert(mode).save(buffer, "PNG")
    data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    origin = [int(columns[0]), int(rows[0])]
    return {"id": 1, "classTitle": label, "geometryType": "bitmap", "bitmap": {"data": data, "origin": origin}}


def sa1b(*masks: np.ndarray, first_id: int = 5) -> dict[str, Any]:
    records = [
        {"id": number, "bbox": [0, 0, 1, 1], "area": int(mask.sum()), "segmentation": rle(mask), "predicted_iou": 0.9}
        for number, mask in enumerate(masks, first_id)
    ]
    return {"image": {"image_id": 1, "width": WIDTH, "height": HEIGHT, "file_name": "1.jpg"}, "annotations": records}


LABEL_MAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:10,10,128::\nmug:0,108,128::\n"


def write_class_picture(path: Path, mask: np.ndarray = MASK, colour: tuple[int, int, int] = (0, 108, 128)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*mask.shape, 3), np.uint8)
    pixels[mask] = colour
    Image.fromarray(pixels).save(path)
    return path


def write_text(path: Path, content: Any, encoding: str = "utf-8") -> Path:
    """Text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode(encoding))
    return path
