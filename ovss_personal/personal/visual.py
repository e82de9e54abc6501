"""Eq. 6: the visual embedding, what the personal object looks like in the joint space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.painting.grid import to_grid
from ovss_personal.structures import BoolMask, Proposals


def masked_mean(features: Tensor, mask: Tensor, contrast: float | Tensor = 0.0) -> Tensor:
    """Mean of the features inside a mask, less `contrast` times their mean outside it.

    Shape: features (D, h, w), mask (h, w) bool with at least one cell, contrast one number or (D,) -> (D,).
    `contrast` 0 is eq. 6 as printed.
    A full mask has no outside and subtracts nothing.
    """
    flat, inside = features.flatten(1), mask.flatten().to(features)
    mean = flat @ inside / inside.sum()
    outside = 1 - inside
    if outside.any():
        mean = mean - contrast * (flat @ outside / outside.sum())
    return mean


def shot_embedding(proposals: Proposals, mask: BoolMask, contrast: float | Tensor = 0.0) -> Tensor:
    """(D,) what one shot adds to F_per: the masked mean of its features."""
    return masked_mean(proposals.features, to_grid(mask, proposals.canvas, proposals.features), contrast)


def visual_embedding(per_shot: Sequence[Tensor]) -> Tensor:
    """F_per: (D,) unit norm, the mean over the shots of `shot_embedding`s."""
    return F.normalize(torch.stack(list(per_shot)).mean(0), dim=0)
