"""From eight taps to a pyramid of four levels, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.extractor import WINDOW

STRIDES = (4, 8, 16, 32)  # of the levels s2 to s5
LEVELS = (0, 1, 3, 3, 2, 1, 1, 0)  # the level that each tap adds to
CHANNELS = 512


class ConvNorm(nn.Conv2d):
    """A convolution without bias and its GroupNorm, under the names of the checkpoints."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(super().forward(x))
        return out


class Bottleneck(nn.Module):
    """(B, C, h, w) -> (B, 512, h, w): the projection of one tap."""

    def __init__(self, inputs: int, middle: int = CHANNELS // 4):
        super().__init__()
        self.shortcut = ConvNorm(inputs, CHANNELS) if inputs != CHANNELS else nn.Identity()
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2 = ConvNorm(middle, middle, 3)
        self.conv3 = ConvNorm(middle, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        summed: Tensor = out + self.shortcut(x)
        return summed.relu()


def window_pyramid(taps: Sequence[Tensor], projections: nn.ModuleList, side: int) -> list[Tensor]:
    """The pyramid of windows of `side` pixels: s2 to s5, (B, 512, side / stride, side / stride)."""
    levels: list[Tensor | None] = [None] * len(STRIDES)
    for tap, projection, level in zip(taps, projections, LEVELS, strict=True):
        cells = side // STRIDES[level]
        projected = projection(F.interpolate(tap, (cells, cells), mode="nearest"))
        so_far = levels[level]
        levels[level] = projected if so_far is None else so_far + projected
    return [level for level in levels if level is not None]


def windows(height: int, width: int) -> tuple[int, list[tuple[int, int]]]:
    """Side of the windows, and their top left corners: tiles, the last of a row or column shifted back inside."""
    side = min(WINDOW, height, width)
    tops, lefts = ([min(start, length - side) for start in range(0, length, side)] for length in (height, width))
    return side, [(top, left) for top in tops for left in lefts]


def sliding_pyramid(images: Tensor, look: Callable[[Tensor], list[Tensor]], batch: int | None = 1) -> list[Tensor]:
    """s2 to s5 of whole images: (B, 512, H / stride, W / stride), the mean where windows overlap.

    Args:
        images: (B, 3, H, W) in [0, 1]; H and W are multiples of 64.
        look: windows (n, 3, side, side) -> their pyramid.
        batch: how many places of the window are looked at at once; None is all.
    """
    count, _, height, width = images.shape
    side, corners = windows(height, width)
    sums = [images.new_zeros(count, CHANNELS, height // s, width // s) for s in STRIDES]
    times = [images.new_zeros(height // s, width // s) for s in STRIDES]
    for some in _batches(corners, batch or len(corners)):
        crops = torch.cat([images[:, :, top : top + side, left : left + side] for top, left in some])
        for seen, total, covered, stride in zip(look(crops), sums, times, STRIDES, strict=True):
            for part, (top, left) in zip(seen.chunk(len(some)), some, strict=True):
                rows = slice(top // stride, top // stride + part.shape[2])
                columns = slice(left // stride, left // stride + part.shape[3])
                total[:, :, rows, columns] += part
                covered[rows, columns] += 1
    return [total / covered for total, covered in zip(sums, times, strict=True)]


def _batches(corners: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), size):
        yield corners[start : start + size]
