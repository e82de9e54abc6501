"""The trained part of the embedded base: from encoder taps to one mask per query point.

A query is a point of the image, its mask the segment under it. At inference the points are a fixed 10 x 10 grid,
so query n looks at the same place in every image: the learned W_Z and W_M rely on that.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.embedded.encoder import CHANNELS
from ovss_personal.bases.embedded.files import fill, load

GRID = 10
MAX_LOGIT = 12.0


def grid_points(side: int = GRID) -> Tensor:
    """(side², 2) the centres of a side x side grid, (x, y) in [0, 1], row by row."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1)


def sine_encoding(points: Tensor, dim: int) -> Tensor:
    """(..., 2) in [0, 1] -> (..., dim): sines and cosines of both coordinates at dim / 4 octave-spaced rates."""
    rates = 2 ** torch.linspace(0, 6, dim // 4, device=points.device) * math.pi
    angles = points.unsqueeze(-1) * rates  # (..., 2, dim / 4)
    return torch.cat((angles.sin(), angles.cos()), -1).flatten(-2)


def sample(features: Tensor, points: Tensor) -> Tensor:
    """(B, C, h, w) at (B, Q, 2) in [0, 1] -> (B, Q, C), bilinear."""
    grid = points.unsqueeze(1) * 2 - 1
    return F.grid_sample(features, grid, align_corners=False, padding_mode="border").squeeze(2).mT


def attend(attention: nn.MultiheadAttention, query: Tensor, key: Tensor) -> Tensor:
    out: Tensor = attention(query, key, key, need_weights=False)[0]
    return out


def mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.GELU()] if i else []
        layers.append(nn.Linear(a, b))
    return nn.Sequential(*layers)


def lateral(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.GroupNorm(8, outputs))


def separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.GroupNorm(8, outputs),
        nn.GELU(),
    )


class EncoderLayer(nn.Module):
    """Pre-norm self-attention over all stride-16 positions."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ffn = mlp(dim, hidden, dim)

    def forward(self, x: Tensor) -> Tensor:  # (B, L, d) -> (B, L, d)
        y = self.norm1(x)
        x = x + attend(self.attention, y, y)
        out: Tensor = x + self.ffn(self.norm2(x))
        return out


class QueryLayer(nn.Module):
    """Pre-norm cross-attention to the image, self-attention among queries, feed-forward."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.cross = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.among = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ffn = mlp(dim, hidden, dim)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:  # (B, Q, d), (B, L, d) -> (B, Q, d)
        queries = queries + attend(self.cross, self.norms[0](queries), memory)
        y = self.norms[1](queries)
        queries = queries + attend(self.among, y, y)
        out: Tensor = queries + self.ffn(self.norms[2](queries))
        return out


class MaskDecoder(nn.Module):
    """Encoder taps and query points -> mask logits at stride 4 and a predicted IoU per mask."""

    def __init__(self, dim: int = 128, pixel_dim: int = 64, heads: int = 4, hidden: int = 256) -> None:
        super().__init__()
        c4, c8, c16, c32 = CHANNELS
        self.dim = dim
        self.lateral4, self.lateral8 = lateral(c4, pixel_dim), lateral(c8, dim)
        self.lateral16, self.lateral32 = lateral(c16, dim), lateral(c32, dim)
        self.encoder = nn.ModuleList(EncoderLayer(dim, heads, hidden) for _ in range(2))
        self.fuse8, self.narrow8 = separable(dim, dim), nn.Conv2d(dim, pixel_dim, 1)
        self.fuse4 = nn.Sequential(separable(pixel_dim, pixel_dim), nn.Conv2d(pixel_dim, pixel_dim, 1))
        self.query = mlp(dim + dim + pixel_dim, dim, dim)
        self.layers = nn.ModuleList(QueryLayer(dim, heads, hidden) for _ in range(3))
        self.norm = nn.LayerNorm(dim)
        self.mask_vector = mlp(dim, dim, pixel_dim + 1)
        self.quality = nn.Linear(dim, 1)

    @classmethod
    def load(cls, path: Path) -> MaskDecoder:
        """With a file's weights, frozen. Raises WeightsError if the file is missing, broken or another network's."""
        with torch.device("meta"):  # no time for random numbers that the file replaces
            decoder = cls()
        fill(decoder, load(path), path)
        return decoder.eval().requires_grad_(False)

    def forward(self, taps: list[Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
        """Taps of `Encoder`, points (B, Q, 2) in [0, 1] -> logits (B, Q, H/4, W/4), quality logits (B, Q)."""
        pixels, vectors, quality = self.embed(taps, points)
        return mask_logits(pixels.flatten(2), vectors).reshape(*vectors.shape[:2], *pixels.shape[2:]), quality

    def embed(self, taps: list[Tensor], points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixel embeddings (B, 64, H/4, W/4), mask vectors with bias (B, Q, 65), quality logits (B, Q)."""
        t4, t8, t16, t32 = taps
        h, w = t16.shape[-2:]
        p16 = self.lateral16(t16) + F.interpolate(self.lateral32(t32), (h, w), mode="nearest")
        y, x = torch.meshgrid(
            (torch.arange(h, device=t16.device) + 0.5) / h,
            (torch.arange(w, device=t16.device) + 0.5) / w,
            indexing="ij",
        )
        where = sine_encoding(torch.stack((x, y), -1).flatten(0, 1), self.dim)
        memory = p16.flatten(2).mT + where  # (B, L, d)
        for layer in self.encoder:
            memory = layer(memory)
        p16 = memory.mT.unflatten(2, (h, w))
        p8 = self.lateral8(t8) + F.interpolate(p16, t8.shape[-2:], mode="bilinear")
        p8 = self.fuse8(p8)
        p4 = self.lateral4(t4) + F.interpolate(self.narrow8(p8), t4.shape[-2:], mode="bilinear")
        pixels = self.fuse4(p4)  # (B, 64, H/4, W/4)

        at = [sample(p, points) for p in (p16, p8, pixels)]
        queries = self.query(torch.cat(at, -1)) + sine_encoding(points, self.dim)
        for layer in self.layers:
            queries = layer(queries, memory)
        queries = self.norm(queries)
        return pixels, self.mask_vector(queries), self.quality(queries).squeeze(-1)


def mask_logits(pixels: Tensor, vectors: Tensor) -> Tensor:
    """Pixel embeddings (B, 64, P), mask vectors with bias (B, Q, 65) -> (B, Q, P)."""
    logits = vectors[..., :-1] @ pixels + vectors[..., -1:]
    return logits.clamp(-MAX_LOGIT, MAX_LOGIT)
