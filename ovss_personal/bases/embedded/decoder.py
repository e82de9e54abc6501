"""The trained part of the embedded base: from encoder taps to one mask per query point.

A query is a point of the image, its mask the segment under it. At inference the image is cut into 10 x 10 cells, and
query n looks at the spot of cell n that is most like the middle of a thing: it keeps its place from image to image,
on which the learned W_Z and W_M rely, and a small thing between two points of a grid is not missed.

The features at strides 4 and 8 are the encoder's. Those at strides 16 and 32 come from stages of the decoder's own,
which started as the encoder's and learned what belongs together; the words' space is left as it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.embedded.encoder import CHANNELS, UPPER, stages, upper
from ovss_personal.bases.embedded.files import fill, load

GRID = 10
SPOTS = 16  # places a side of a cell among which its spot is chosen
LEAST_HEAT = 0.1  # with less, nowhere in a cell is a thing, and the cell's middle is taken
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


@dataclass(frozen=True)
class Features:
    """Maps of one batch: pixel embeddings (B, 64, H/4, W/4), p8 (B, d, H/8, W/8), p16 (B, d, H/16, W/16), and logits
    of how much like the middle of a thing each place is, (B, 1, H/8, W/8)."""

    pixels: Tensor
    p8: Tensor
    p16: Tensor
    heat: Tensor


class MaskDecoder(nn.Module):
    """Encoder taps and query points -> mask logits at stride 4 and a predicted IoU per mask."""

    def __init__(self, dim: int = 128, pixel_dim: int = 64, heads: int = 4, hidden: int = 256) -> None:
        super().__init__()
        c4, c8, c16, c32 = CHANNELS
        self.dim = dim
        self.stages = nn.ModuleList(stages()[UPPER:])
        self.lateral4, self.lateral8 = lateral(c4, pixel_dim), lateral(c8, dim)
        self.lateral16, self.lateral32 = lateral(c16, dim), lateral(c32, dim)
        self.encoder = nn.ModuleList(EncoderLayer(dim, heads, hidden) for _ in range(3))
        self.fuse8, self.narrow8 = separable(dim, dim), nn.Conv2d(dim, pixel_dim, 1)
        self.fuse4 = nn.Sequential(separable(pixel_dim, pixel_dim), nn.Conv2d(pixel_dim, pixel_dim, 1))
        self.query = mlp(dim + dim + pixel_dim, dim, dim)
        self.layers = nn.ModuleList(QueryLayer(dim, heads, hidden) for _ in range(3))  # look at stride 16
        self.fine_layers = nn.ModuleList(QueryLayer(dim, heads, hidden) for _ in range(2))  # look at stride 8
        self.heat = nn.Conv2d(dim, 1, 1)
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

    def train(self, mode: bool = True) -> MaskDecoder:
        super().train(mode)
        self.stages.eval()  # their batch statistics stay ImageNet's: a few crops at a time would be poor ones
        return self

    def forward(self, taps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Taps of `Encoder` -> logits (B, 100, H/4, W/4), quality logits (B, 100)."""
        features = self.features(taps)
        pixels, vectors, quality = self.embed(features, spots(features.heat.sigmoid()))
        return mask_logits(pixels.flatten(2), vectors).reshape(*vectors.shape[:2], *pixels.shape[2:]), quality

    def features(self, taps: list[Tensor]) -> Features:
        """What queries look at. Of the taps, those at strides 4 and 8 are read."""
        t4, t8 = taps[:2]
        t16, t32 = upper(self.stages, t8)
        h, w = t16.shape[-2:]
        p16 = self.lateral16(t16) + F.interpolate(self.lateral32(t32), (h, w), mode="nearest")
        memory = p16.flatten(2).mT + self._places(p16)  # (B, L, d)
        for layer in self.encoder:
            memory = layer(memory)
        p16 = memory.mT.unflatten(2, (h, w))
        p8 = self.lateral8(t8) + F.interpolate(p16, t8.shape[-2:], mode="bilinear")
        p8 = self.fuse8(p8)
        p4 = self.lateral4(t4) + F.interpolate(self.narrow8(p8), t4.shape[-2:], mode="bilinear")
        return Features(self.fuse4(p4), p8, p16, self.heat(p8))

    def embed(self, features: Features, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points (B, Q, 2) in [0, 1] -> pixel embeddings (B, 64, H/4, W/4), mask vectors with bias (B, Q, 65),
        quality logits (B, Q)."""
        at = [sample(p, points) for p in (features.p16, features.p8, features.pixels)]
        queries = self.query(torch.cat(at, -1)) + sine_encoding(points, self.dim)
        memory = features.p16.flatten(2).mT
        for layer in self.layers:
            queries = layer(queries, memory)
        fine = features.p8.flatten(2).mT + self._places(features.p8)
        for layer in self.fine_layers:
            queries = layer(queries, fine)
        queries = self.norm(queries)
        return features.pixels, self.mask_vector(queries), self.quality(queries).squeeze(-1)

    def _places(self, features: Tensor) -> Tensor:
        """(B, d, h, w) -> (h w, d) where each position of a map is."""
        rows, columns = ((torch.arange(n, device=features.device) + 0.5) / n for n in features.shape[2:])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return sine_encoding(torch.stack((x, y), -1).flatten(0, 1), self.dim)


def spots(heat: Tensor) -> Tensor:
    """(B, 1, h, w) in [0, 1] -> (B, 100, 2): where in each of 10 x 10 cells the heat is highest, cells row by row."""
    side = GRID * SPOTS
    heat = F.interpolate(heat, (side, side), mode="bilinear")
    most, at = F.max_pool2d(heat, SPOTS, return_indices=True)
    at = at.flatten(1)
    found = (torch.stack((at % side, at // side), -1) + 0.5) / side
    return torch.where(most.flatten(1)[..., None] > LEAST_HEAT, found, grid_points().to(found))


def mask_logits(pixels: Tensor, vectors: Tensor) -> Tensor:
    """Pixel embeddings (B, 64, P), mask vectors with bias (B, Q, 65) -> (B, Q, P)."""
    logits = vectors[..., :-1] @ pixels + vectors[..., -1:]
    return logits.clamp(-MAX_LOGIT, MAX_LOGIT)
