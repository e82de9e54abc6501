"""Multi-scale deformable attention in pure torch: each query looks at a few points that it chooses itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sample_levels(value: Tensor, sizes: Sequence[tuple[int, int]], points: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of bilinear samples from maps of several sizes; outside of a map all is 0.

    Shape:
        value: (B, S, heads, C), the maps flattened and joined, S = Σ h·w.
        sizes: (h, w) of each of the L maps.
        points: (B, Q, heads, L, P, 2) as (x, y), 0 to 1 from edge to edge of a map.
        weights: (B, Q, heads, L, P).
        -> (B, Q, heads · C)
    """
    batch, _, heads, channels = value.shape
    queries = points.shape[1]
    grids = (2 * points - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # (L, B·heads, Q, P, 2)
    maps = value.permute(0, 2, 3, 1).flatten(0, 1)  # (B·heads, C, S)
    shares = weights.permute(3, 0, 2, 1, 4).flatten(1, 2)[:, :, None]  # (L, B·heads, 1, Q, P)
    out = value.new_zeros(batch * heads, channels, queries)
    start = 0
    for (height, width), grid, share in zip(sizes, grids, shares, strict=True):
        pixels = maps[:, :, start : start + height * width].reshape(-1, channels, height, width)
        sampled = F.grid_sample(pixels, grid, padding_mode="zeros", align_corners=False)
        out = out + (sampled * share).sum(3)  # (B·heads, C, Q)
        start += height * width
    return out.reshape(batch, heads * channels, queries).mT


class DeformableAttention(nn.Module):
    """Attention over several maps at once, with `points` samples a head and map."""

    def __init__(self, width: int = 256, levels: int = 3, heads: int = 8, points: int = 4):
        super().__init__()
        self.shape = (heads, levels, points)
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, query: Tensor, reference: Tensor, source: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Shape: query (B, Q, width), reference (Q, 2) as (x, y) in [0, 1], source (B, S, width) -> (B, Q, width)."""
        heads, levels, points = self.shape
        extent = torch.tensor([(w, h) for h, w in sizes], device=query.device, dtype=query.dtype)  # (L, 2)
        offsets = self.sampling_offsets(query).unflatten(2, (heads, levels, points, 2))
        at = reference[:, None, None, None] + offsets / extent[:, None]
        weights = self.attention_weights(query).unflatten(2, (heads, levels * points)).softmax(3)
        value = self.value_proj(source).unflatten(2, (heads, -1))
        out: Tensor = self.output_proj(sample_levels(value, sizes, at, weights.unflatten(3, (levels, points))))
        return out
