"""The pixel decoder: a deformable encoder over three levels of the pyramid, and fine features for the masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.deformable_attention import DeformableAttention
from ovss_personal.bases.odise.pyramid import CHANNELS, ConvNorm

WIDTH = 256


def sine_position(height: int, width: int, device: torch.device | None = None, axis_width: int = WIDTH // 2) -> Tensor:
    """(height · width, 2 · axis_width): sines on even and cosines on odd slots, of y and then of x."""
    slots = torch.arange(axis_width, device=device)
    rates = 10000 ** (2 * (slots // 2) / axis_width)
    codes = []
    for cells in (height, width):
        steps = torch.arange(1, cells + 1, device=device) / (cells + 1e-6) * (2 * math.pi)
        angles = steps[:, None] / rates
        codes.append(torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), 2).flatten(1))
    y, x = codes
    return torch.cat((y[:, None].expand(-1, width, -1), x[None].expand(height, -1, -1)), 2).flatten(0, 1)


def cell_centres(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(height · width, 2) as (x, y) in [0, 1]."""
    y, x = (((torch.arange(cells, device=device) + 0.5) / cells) for cells in (height, width))
    return torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)), 2).flatten(0, 1)


class EncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward network, each followed by its norm."""

    def __init__(self, hidden: int = 1024):
        super().__init__()
        self.self_attn = DeformableAttention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.linear1 = nn.Linear(WIDTH, hidden)
        self.linear2 = nn.Linear(hidden, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        x = self.norm1(x + self.self_attn(x + position, reference, x, sizes))
        out: Tensor = self.norm2(x + self.linear2(self.linear1(x).relu()))
        return out


class Encoder(nn.Module):
    """The six layers."""

    def __init__(self, layers: int = 6):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(layers))


class DeformableEncoder(nn.Module):
    """Three maps in, three maps of the same sizes out. The level's embedding is part of the position."""

    def __init__(self, levels: int = 3):
        super().__init__()
        self.level_embed = nn.Parameter(torch.zeros(levels, WIDTH))
        self.encoder = Encoder()

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [(m.shape[2], m.shape[3]) for m in maps]
        device = maps[0].device
        x = torch.cat([m.flatten(2).mT for m in maps], 1)  # (B, S, 256)
        codes = [sine_position(h, w, device) + level for (h, w), level in zip(sizes, self.level_embed, strict=True)]
        position = torch.cat(codes).to(x)
        reference = torch.cat([cell_centres(h, w, device) for h, w in sizes]).to(x)
        for layer in self.encoder.layers:
            x = layer(x, position, reference, sizes)
        ends = list(accumulate(h * w for h, w in sizes))
        parts = x.mT.tensor_split(ends[:-1], 2)
        return [part.reshape(*part.shape[:2], *size) for part, size in zip(parts, sizes, strict=True)]


class PixelDecoder(nn.Module):
    """From the pyramid to the memory of the decoder and the features of the masks."""

    def __init__(self) -> None:
        super().__init__()
        self.input_proj = nn.ModuleList(
            nn.Sequential(nn.Conv2d(CHANNELS, WIDTH, 1), nn.GroupNorm(32, WIDTH)) for _ in range(3)
        )
        self.transformer = DeformableEncoder()
        self.adapter_1 = ConvNorm(CHANNELS, WIDTH)
        self.layer_1 = ConvNorm(WIDTH, WIDTH, 3)
        self.mask_features = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, pyramid: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """s2 to s5 -> the memory, three maps (B, 256, ...) from coarse to fine, and the mask features
        (B, 256, H / 4, W / 4)."""
        fine, *coarse = pyramid
        projected = [proj(level) for proj, level in zip(self.input_proj, reversed(coarse), strict=True)]
        memory = self.transformer(projected)
        up = F.interpolate(memory[-1], fine.shape[2:], mode="bilinear", align_corners=False)
        features: Tensor = self.mask_features(self.layer_1(self.adapter_1(fine) + up).relu())
        return memory, features
