"""Between a base's grid and the image's own pixels. Nobody else resizes a mask.

Both directions are products with two small matrices, one an axis, so a part of the image can be made without the
rest and padding falls away by itself.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ovss_personal.structures import BoolMask, Canvas


def mask_rows(masks: Tensor, canvas: Canvas, start: int, stop: int) -> Tensor:
    """Rows `start` to `stop` of mask logits at the image's own size.

    Shape: (N, h, w) -> (N, stop - start, W). Bilinear, pixel centres aligned (align_corners=False), twice in a row:
    to the canvas, and from the part of it that the image takes to the image's own pixels. Where the two sizes
    differ, this is not the same as once.
    """
    down = _bilinear(canvas, masks.shape[1], 0).to(masks)[start:stop]
    across = _bilinear(canvas, masks.shape[2], 1).to(masks)
    near = down.any(0).nonzero().squeeze(1)
    low, high = int(near[0]), int(near[-1]) + 1
    return torch.einsum("rh,nhw,cw->nrc", down[:, low:high], masks[:, low:high], across)


def coverage(mask: BoolMask, canvas: Canvas, size: tuple[int, int]) -> Tensor:
    """(H, W) bool at the image's size -> (h, w) float: how much of each grid cell it covers, in [0, 1]. On the CPU."""
    height, width = canvas.original
    down = _overlap(height, _span(canvas, size[0], 0), size[0])
    across = _overlap(width, _span(canvas, size[1], 1), size[1])
    return down @ torch.from_numpy(mask.astype(np.float32)) @ across.T


def to_grid(mask: BoolMask, canvas: Canvas, maps: Tensor) -> Tensor:
    """(H, W) bool -> (h, w) bool on the grid and the device of `maps` (..., h, w).

    A cell is true where half of it or more is covered; a mask that vanishes keeps its best cell.
    """
    cover = coverage(mask, canvas, (maps.shape[-2], maps.shape[-1]))
    if mask.any() and not (cover >= 0.5).any():
        return (cover == cover.max()).to(maps.device)
    return (cover >= 0.5).to(maps.device)


def _span(canvas: Canvas, cells: int, axis: int) -> float:
    """How many of the grid's cells the image itself takes; the rest is padding."""
    return cells * canvas.resized[axis] / canvas.padded[axis]


@lru_cache(maxsize=16)
def _bilinear(canvas: Canvas, cells: int, axis: int) -> Tensor:
    """(pixels, cells) weights of the grid's cells in each of the image's pixels."""
    on_canvas = _stretch(torch.eye(cells, dtype=torch.float64), canvas.padded[axis])
    return _stretch(on_canvas[: canvas.resized[axis]], canvas.original[axis]).float()


def _stretch(rows: Tensor, count: int) -> Tensor:
    """(n, cells) -> (count, cells): linear interpolation between rows."""
    last = len(rows) - 1
    at = ((torch.arange(count, dtype=torch.float64) + 0.5) * len(rows) / count - 0.5).clamp(0, last)
    low = at.floor().long()
    return torch.lerp(rows[low], rows[(low + 1).clamp(max=last)], (at - low)[:, None])


@lru_cache(maxsize=16)
def _overlap(pixels: int, span: float, cells: int) -> Tensor:
    """(cells, pixels) share of each cell that each pixel takes."""
    edge = torch.arange(pixels + 1, dtype=torch.float64) * span / pixels
    cell = torch.arange(cells, dtype=torch.float64).unsqueeze(1)
    low, high = edge[:-1].clamp(min=cell), edge[1:].clamp(max=cell + 1)
    return (high - low).clamp(min=0).float()


def overlaps(masks: Tensor) -> tuple[Tensor, Tensor]:
    """(N, P) bool -> the cells that each two masks share and the IoU of each two, (N, N) float32; 0 for empty masks."""
    flat = masks.float()
    area = flat.sum(1)
    both = flat @ flat.T
    return both, both / (area[:, None] + area[None] - both).clamp(min=1)
