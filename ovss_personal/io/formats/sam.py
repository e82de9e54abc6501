"""What Segment Anything says of one photo: SA-1B's JSON, or the list that its automatic mask generator gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ovss_personal.io.coco import draw_segmentation
from ovss_personal.io.formats.marks import NAMELESS, Mark, MarkedPhoto, photo_size, text_of

__all__ = ["is_mask_list", "is_sa1b", "read_mask_list", "read_sa1b"]


def is_sa1b(content: Any) -> bool:
    return (
        isinstance(content, dict) and isinstance(content.get("image"), dict) and _are_masks(content.get("annotations"))
    )


def is_mask_list(content: Any) -> bool:
    return bool(content) and _are_masks(content)


def read_sa1b(content: Any, path: Path) -> list[MarkedPhoto]:
    """The photo of a JSON that `is_sa1b` accepted.

    These masks have no categories. A single one is the object; of several each is a category called by its id, so that
    one has to be chosen.

    Raises:
        MaskError: a size that is none.
    """
    size = photo_size(content["image"].get("height"), content["image"].get("width"), path)
    return [MarkedPhoto(path, path.name, size, _marks(content["annotations"], path))]


def read_mask_list(content: Any, path: Path) -> list[MarkedPhoto]:
    """As `read_sa1b`, of a list of masks in COCO's run lengths; without ids they are counted from 0."""
    return [MarkedPhoto(path, path.name, None, _marks(content, path))]


def _marks(records: list[dict[str, Any]], path: Path) -> tuple[Mark, ...]:
    names = [text_of(record.get("id")) or str(number) for number, record in enumerate(records)]
    return tuple(
        Mark(
            name if len(records) > 1 else NAMELESS,
            partial(draw_segmentation, record["segmentation"], path=path, what=f"annotation {name}"),
        )
        for name, record in zip(names, records, strict=True)
    )


def _are_masks(records: Any) -> bool:
    return isinstance(records, list) and all(
        isinstance(record, dict) and "segmentation" in record and "category_id" not in record for record in records
    )
