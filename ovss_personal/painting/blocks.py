"""An image in square blocks: the weight of every mask at a block's pixels, and the range it keeps to within one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ovss_personal.painting.grid import mask_rows
from ovss_personal.structures import Canvas

SIDE = 16


@dataclass(frozen=True)
class _Axis:
    """Interpolation along one axis: a block's pixels are `mix` times the grid's cells `near` it.

    Attributes:
        mix: (blocks, SIDE, k), none negative; pixels beyond the image's edge repeat its last one.
        near: (blocks, k) int64.
    """

    mix: Tensor
    near: Tensor

    @classmethod
    def of(cls, canvas: Canvas, axis: int, cells: int) -> _Axis:
        pixels = canvas.original[axis]
        # mask_rows is linear in either axis, so masks that are 1 in one cell and 0 elsewhere tell its matrix.
        line = Canvas((pixels, 1), (canvas.resized[axis], 1), (canvas.padded[axis], 1))
        matrix = mask_rows(torch.eye(cells).unsqueeze(2), line, 0, pixels).squeeze(2).T  # (pixels, cells)
        blocks = -(-pixels // SIDE)
        matrix = matrix[torch.arange(blocks * SIDE).clamp(max=pixels - 1)].view(blocks, SIDE, cells)
        used = matrix.any(1).byte()
        first, last = used.argmax(1), cells - 1 - used.flip(1).argmax(1)
        count = int((last - first).max()) + 1
        near = first.clamp(max=cells - count).unsqueeze(1) + torch.arange(count)
        return cls(matrix.gather(2, near.unsqueeze(1).expand(-1, SIDE, -1)), near)

    def to(self, device: torch.device) -> _Axis:
        return _Axis(self.mix.to(device), self.near.to(device))


class Blocks:
    """Blocks of SIDE x SIDE pixels, numbered row by row; what is in a block is computed when asked for.

    Args:
        masks: (N, h, w) logits on a grid.
        canvas: how the image lies under the grid.

    Attributes:
        count: of blocks.
        pixels: in a block, SIDE².
        device: of the masks, and of all that is computed.
        values: how many floats the largest array takes that a block needs.
    """

    def __init__(self, masks: Tensor, canvas: Canvas):
        self._grid = masks.permute(1, 2, 0).contiguous()  # (h, w, N)
        self._down = _Axis.of(canvas, 0, masks.shape[1]).to(masks.device)
        self._across = _Axis.of(canvas, 1, masks.shape[2]).to(masks.device)
        # A pixel's logit and a bound on it, both rounded, differ by a few ulps of the grid's largest logit at most.
        self._rounding = 16 * torch.finfo(masks.dtype).eps * masks.abs().amax()
        self._size = canvas.original
        self._columns = len(self._across.mix)
        self.count = len(self._down.mix) * self._columns
        self.pixels = SIDE * SIDE
        self.device = masks.device
        # An image smaller than its grid has more cells than pixels in a block.
        reach = (max(SIDE, axis.mix.shape[2]) for axis in (self._down, self._across))
        self.values = len(masks) * math.prod(reach)

    def survey(self, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Blocks (T,) -> weights sigmoid(M) of every mask, each (T, N): the least, the most, and at the middle pixel.

        The least and the most are bounds: interpolation mixes with weights that are not negative, so it can be done
        on the extremes of one axis, and sigmoid is monotone.
        """
        lines, across = self._lines(blocks), self._across.mix[blocks % self._columns]
        low = (across @ lines.amin(1)).amin(1) - self._rounding
        high = (across @ lines.amax(1)).amax(1) + self._rounding
        middle = (across[:, SIDE // 2].unsqueeze(1) @ lines[:, SIDE // 2]).squeeze(1)
        return low.sigmoid(), high.sigmoid(), middle.sigmoid()

    def weights(self, blocks: Tensor) -> Tensor:
        """Blocks (T,) -> (T, SIDE², N) sigmoid(M) at every pixel, row by row."""
        across = self._across.mix[blocks % self._columns].unsqueeze(1)
        return (across @ self._lines(blocks)).sigmoid().flatten(1, 2)

    def picture(self, values: Tensor) -> Tensor:
        """A value for every pixel of every block, (blocks, SIDE²) -> (H, W)."""
        height, width = self._size
        rows = values.view(-1, self._columns, SIDE, SIDE).transpose(1, 2).flatten(2).flatten(0, 1)
        return rows[:height, :width]

    def _lines(self, blocks: Tensor) -> Tensor:
        """Blocks (T,) -> (T, SIDE, k, N) logits, interpolated down the rows but not yet across."""
        row, column = blocks // self._columns, blocks % self._columns
        cells = self._grid[self._down.near[row].unsqueeze(2), self._across.near[column].unsqueeze(1)]
        return (self._down.mix[row] @ cells.flatten(2)).view(len(blocks), SIDE, *cells.shape[2:])


def can_exceed(low: Tensor, high: Tensor, form: Tensor) -> Tensor:
    """Ranges (T, N) of weights, forms (N, K) -> (T, K) bool: whether Σ form·w > 0 for some w between low and high.

    The largest value is Σ form·centre + Σ |form|·radius. All rounding in it is below (N + 8)·eps·Σ |form|·high, which
    a wider radius makes up for: where the answer is no, it is no in exact arithmetic.
    """
    margin = (low.shape[1] + 8) * torch.finfo(low.dtype).eps
    radius = (high - low) / 2 + 2 * margin * high
    return ((low + high) / 2) @ form + radius @ form.abs() > 0
