"""CLIP's transformer: the residual blocks, and the vision tower's first part with its taps.

The forward pass is our own, since SAN reaches inside the attention; the tensors are named as in open_clip.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values (B, heads, length, 64) -> like queries


@dataclass(frozen=True)
class ClipTaps:
    """The residual stream of the vision tower at chosen depths, not normalised.

    Attributes:
        tokens: for each tap (B, 1 + hc·wc, C): the class token, then the patches row by row.
        grid: (hc, wc).
    """

    tokens: Sequence[Tensor]
    grid: tuple[int, int]

    def map(self, tap: int) -> Tensor:
        """(B, C, hc, wc): the patches of one tap as a picture."""
        return as_picture(self.tokens[tap][:, 1:], self.grid)


class QuickGELU(nn.Module):
    """x·sigmoid(1.702 x), the activation of both of OpenAI's towers."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * torch.sigmoid(1.702 * x)
        return out


class Attention(nn.Module):
    """Multi-head attention with packed weights; who may look at whom is the caller's `attend`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # (B, L, 3C)
        q, k, v = packed.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, heads, L, 64)
        mixed: Tensor = self.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))
        return mixed


class ResidualBlock(nn.Module):
    """One pre-norm block of CLIP. Shape: (B, L, C) -> (B, L, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, 4 * width), gelu=QuickGELU(), c_proj=nn.Linear(4 * width, width))
        )

    def forward(self, x: Tensor, attend: Attend = F.scaled_dot_product_attention) -> Tensor:
        x = x + self.attn(self.ln_1(x), attend)
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class VisualExtractor(nn.Module):
    """The patch embedding and the first blocks of CLIP's vision tower.

    Args:
        table: cells a side of the stored position table.
        taps: after how many blocks the stream is kept; the last one is the depth.
    """

    def __init__(self, *, width: int, heads: int, patch: int, table: int, taps: Sequence[int]) -> None:
        super().__init__()
        self.table = (table, table)
        self.taps = tuple(taps)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + table * table, width))
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.resblocks = nn.ModuleList(ResidualBlock(width, heads) for _ in range(self.taps[-1]))

    def forward(self, pixels: Tensor) -> ClipTaps:
        """Normalised pixels (B, 3, H, W), whole patches or not (a remainder is dropped) -> the taps."""
        patches = self.conv1(pixels)  # (B, C, hc, wc)
        grid = (patches.shape[2], patches.shape[3])
        first = self.class_embedding.expand(len(pixels), 1, -1)
        x = torch.cat((first, patches.flatten(2).transpose(1, 2)), 1) + self._positions(grid)
        x = self.ln_pre(x)
        kept = [x]
        for depth, block in enumerate(self.resblocks, 1):
            x = block(x)
            if depth in self.taps:
                kept.append(x)
        return ClipTaps(kept, grid)

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        if grid == self.table:
            return self.positional_embedding
        first, cells = self.positional_embedding[:1], self.positional_embedding[1:]
        return torch.cat((first, resize_positions(cells, self.table, grid)))


def as_picture(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, rows·columns, C), row by row -> (B, C, rows, columns)."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)


def resize_positions(cells: Tensor, table: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """(table cells, C) -> (grid cells, C), bicubic.

    Without antialiasing even where it enlarges: torch's antialiasing has another cubic coefficient.
    """
    picture = as_picture(cells[None].float(), table)
    resized = F.interpolate(picture, grid, mode="bicubic", align_corners=False, antialias=False)
    return resized[0].flatten(1).T
