"""Small objects, seen larger: proposals of overlapping crops merged with those of the whole image.

All 100 whole-image proposals are kept in their places; what the crops add comes after them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.embedded.decoder import MAX_LOGIT
from ovss_personal.painting.grid import overlaps

TILE = 0.625  # of the image's side
MAX_PROPOSALS = 200
GRID = 192  # cells a side of merged masks; a crop's own 128 cover 0.625 of it
FEATURE_GRID = 52  # likewise for the features' 32
NMS_IOU = 0.8


@dataclass(frozen=True)
class View:
    """What was seen in one picture or crop: masks (N, h, w), embeddings (N, D), features (D, h', w'), quality (N,)."""

    masks: Tensor
    embeddings: Tensor
    features: Tensor
    quality: Tensor


@dataclass(frozen=True)
class Box:
    """Pixels [top, bottom) x [left, right)."""

    top: int
    bottom: int
    left: int
    right: int


def tile_boxes(height: int, width: int, tiles: int) -> list[Box]:
    """√tiles x √tiles overlapping crops that together cover the image (`tiles` rounded up to a square, at least 4)."""
    side = max(2, math.isqrt(tiles - 1) + 1)
    steps = [i / (side - 1) * (1 - TILE) for i in range(side)]
    return [
        Box(round(y * height), round((y + TILE) * height), round(x * width), round((x + TILE) * width))
        for y in steps
        for x in steps
    ]


def merge_tiles(whole: View, tiles: Sequence[tuple[Box, View]], size: tuple[int, int]) -> View:
    """One view of an image of `size` (H, W): the whole one's proposals, then the crops' best, 200 in all.

    Masks that touch a crop's inner border are cut objects and dropped; duplicates go by non-maximum suppression.
    Free places are filled with empty masks and zero embeddings, which no word matches.
    """
    masks = F.interpolate(whole.masks[None], (GRID, GRID), mode="bilinear")[0]
    parts, embeddings, qualities = [masks], [whole.embeddings], [whole.quality]
    for box, view in tiles:
        keep = ~_touches_inner_border(view.masks > 0, box, size)
        parts.append(_placed(view.masks[keep], box, size, GRID, -MAX_LOGIT))
        embeddings.append(view.embeddings[keep])
        qualities.append(view.quality[keep])
    every, count = torch.cat(parts), len(masks)
    chosen = _suppress((every > 0).flatten(1), torch.cat(qualities), count)
    missing = MAX_PROPOSALS - len(chosen)
    merged = torch.cat((every[chosen], every.new_full((missing, GRID, GRID), -MAX_LOGIT)))
    rows = torch.cat(embeddings)[chosen]
    quality = torch.cat(qualities)[chosen]
    return View(
        masks=merged,
        embeddings=F.pad(rows, (0, 0, 0, missing)),
        features=_stitched([(box, view.features) for box, view in tiles], size),
        quality=F.pad(quality, (0, missing)),
    )


def _touches_inner_border(masks: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """(N, h, w) bool -> (N,) bool: whether a mask reaches a side of the crop that is not the image's own."""
    touches = torch.zeros(len(masks), dtype=torch.bool, device=masks.device)
    if box.top > 0:
        touches |= masks[:, 0].any(1)
    if box.bottom < size[0]:
        touches |= masks[:, -1].any(1)
    if box.left > 0:
        touches |= masks[:, :, 0].any(1)
    if box.right < size[1]:
        touches |= masks[:, :, -1].any(1)
    return touches


def _cells(box: Box, size: tuple[int, int], grid: int) -> tuple[slice, slice]:
    rows = slice(round(box.top * grid / size[0]), round(box.bottom * grid / size[0]))
    return rows, slice(round(box.left * grid / size[1]), round(box.right * grid / size[1]))


def _placed(maps: Tensor, box: Box, size: tuple[int, int], grid: int, outside: float) -> Tensor:
    """A crop's (N, h, w) maps on the whole image's (N, grid, grid)."""
    rows, columns = _cells(box, size, grid)
    out = maps.new_full((len(maps), grid, grid), outside)
    if len(maps):
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        out[:, rows, columns] = F.interpolate(maps[None], shape, mode="bilinear")[0]
    return out


def _suppress(masks: Tensor, quality: Tensor, always: int) -> Tensor:
    """Indices kept: the first `always`, then by falling quality what overlaps none of the kept by NMS_IOU."""
    both, iou = overlaps(masks)
    kept = list(range(always))
    for index in (quality[always:].argsort(descending=True, stable=True) + always).tolist():
        if len(kept) == MAX_PROPOSALS:
            break
        if both[index, index] > 0 and float(iou[index, kept].max()) <= NMS_IOU:
            kept.append(index)
    return torch.tensor(kept, device=masks.device)


def _stitched(tiles: Sequence[tuple[Box, Tensor]], size: tuple[int, int]) -> Tensor:
    """Crops' dense features (D, h', w') averaged where they overlap -> (D, 52, 52)."""
    total = sum(_placed(features, box, size, FEATURE_GRID, 0.0) for box, features in tiles)
    ones = [_placed(torch.ones_like(f[:1]), box, size, FEATURE_GRID, 0.0) for box, f in tiles]
    return torch.as_tensor(total) / torch.stack(ones).sum(0)
