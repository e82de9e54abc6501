"""Context between the photos of a group: what the regions of all of them look like, offered to every pixel.

Two rules, by the names of `Rule`. `compat` is the published code, which official weights were trained with: region
weights are a softmax over positions, and the matrix of group values is re-read in another shape instead of
transposed, so its rows are no channels and its columns no regions. `intended` is the paper: region weights are each
pixel's class probabilities, and the matrix is transposed. Both have the same parameters under the same names.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rule = Literal["intended", "compat"]
Context = Literal["none", "global", "group"]

GROUP_SHARPNESS = 8.0  # on top of 1/√C, in the group's attention only


def gather_regions(features: Tensor, logits: Tensor, rule: Rule) -> Tensor:
    """One feature a class and image: (B, D, h, w), (B, K, h, w) -> (B, K, D).

    `intended` is the paper's eq. 4, a sum over positions weighted by class probabilities; `compat` a mean over
    positions with weights that are a softmax over positions.
    """
    weights = logits.flatten(2).softmax(2) if rule == "compat" else logits.softmax(1).flatten(2)  # (B, K, n)
    return weights @ features.flatten(2).transpose(1, 2)


def group_matrix(values: Tensor, rule: Rule) -> Tensor:
    """The regions of all photos side by side: (B, K, C) -> (C, K·B).

    `intended` puts region k of photo b into column k·B + b; `compat` only has that shape.
    """
    stacked = values.transpose(0, 1).contiguous()  # (K, B, C)
    columns = stacked.shape[0] * stacked.shape[1]
    if rule == "compat":
        return stacked.reshape(-1, columns)
    return stacked.reshape(columns, -1).T


class RegionAttention(nn.Module):
    """Every pixel's mixture of its own photo's regions, and of the regions of the whole group.

    Args:
        channels: D of the features and regions.
        key_channels: C, in which they are compared.
        rule: how the group's matrix is laid out.
        context: `global` looks at the photo's own regions only, `group` at those of all photos as well.
    """

    def __init__(self, channels: int, key_channels: int, rule: Rule, context: Context) -> None:
        super().__init__()
        self.rule, self.context = rule, context
        self.f_pixel = _two_layers(channels, key_channels)
        self.f_object = _two_layers(channels, key_channels)
        self.f_down = nn.Sequential(_conv(channels, key_channels), _norm(key_channels))
        self.f_up = nn.Sequential(_conv(key_channels, channels), _norm(channels))  # in use without the group only

    def forward(self, features: Tensor, regions: Tensor) -> Tensor:
        """(B, D, h, w), (B, K, D) -> (B, D, h, w), or (B, 2C, h, w) with the group: own photo, then group."""
        height, width = features.shape[2:]
        proxies = regions.transpose(1, 2).unsqueeze(3)  # (B, D, K, 1)
        query = self.f_pixel(features).flatten(2).transpose(1, 2)  # (B, n, C)
        keys = self.f_object(proxies).flatten(2)  # (B, C, K)
        values = self.f_down(proxies).flatten(2).transpose(1, 2)  # (B, K, C)
        scale = query.shape[2] ** -0.5
        own = (scale * query @ keys).softmax(2) @ values  # (B, n, C)
        if self.context != "group":
            context: Tensor = self.f_up(_as_map(own, height, width))
            return context
        matrix = group_matrix(values, self.rule)  # (C, K·B)
        shared = (GROUP_SHARPNESS * scale * query @ matrix).softmax(2) @ matrix.T  # (B, n, C)
        return _as_map(torch.cat((own, shared), 2), height, width)


class GroupContext(nn.Module):
    """Features that know of the regions of their own photo, and of the photos in the batch: their group.

    Args:
        channels: D of the features; `key_channels` must be half of it.
        residual: add the features as they came.
    """

    def __init__(
        self, channels: int, key_channels: int, rule: Rule, context: Context = "group", residual: bool = False
    ) -> None:
        super().__init__()
        self.rule, self.residual = rule, residual
        self.ocr_update = nn.Module()
        self.ocr_update.object_context_block = RegionAttention(channels, key_channels, rule, context)
        self.ocr_update.conv_bn_dropout = nn.Sequential(
            _conv(channels + 2 * key_channels, channels), _norm(channels), nn.Dropout2d(0.05)
        )

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """(B, D, h, w) features and (B, K, h, w) coarse class logits of one group -> (B, D, h, w)."""
        regions = gather_regions(features, logits, self.rule)
        if self.rule == "intended":
            # A convolution and batch norm follow, so a factor is free; this one makes large photos as small ones.
            regions = regions / logits[0, 0].numel()
        context = self.ocr_update.get_submodule("object_context_block")(features, regions)
        mixed: Tensor = self.ocr_update.get_submodule("conv_bn_dropout")(torch.cat((context, features), 1))
        return mixed + features if self.residual else mixed


def upsample(logits: Tensor, factor: int) -> Tensor:
    """(B, K, h, w) -> (B, K, factor·h, factor·w), corner pixels kept in the corners."""
    return F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=True)


def _as_map(pixels: Tensor, height: int, width: int) -> Tensor:
    return pixels.transpose(1, 2).reshape(len(pixels), -1, height, width)  # (B, n, C) -> (B, C, h, w)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def _norm(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


def _two_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs), _norm(outputs), _conv(outputs, outputs), _norm(outputs))
