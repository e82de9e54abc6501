"""Contrast pooling: mask embeddings that describe the object and not what surrounds it.

Stride-32 features leak an object into its neighbourhood, so the mean outside the mask is subtracted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BETA = 1.0


def contrast_pool(masks: Tensor, features: Tensor, mean: Tensor, beta: float = BETA) -> Tensor:
    """Mask logits and dense features -> one unit vector a mask.

    Shape: masks (N, h, w) logits, features (D, h', w'), mean (D,) -> (N, D).
    z_in is the mean over sigmoid · [> 0.5], z_out the mean weighted by 1 - sigmoid.
    """
    soft = masks.sigmoid()
    size = (features.shape[1], features.shape[2])
    inside = F.adaptive_avg_pool2d(soft * (soft > 0.5), size).flatten(1)  # (N, h'w')
    # A mask without a pixel above one half still needs a place: its soft weights give it.
    inside = torch.where(inside.sum(1, keepdim=True) > 0, inside, F.adaptive_avg_pool2d(soft, size).flatten(1))
    outside = F.adaptive_avg_pool2d(1 - soft, size).flatten(1)
    flat = features.flatten(1).T  # (h'w', D)
    z_in = inside @ flat / inside.sum(1, keepdim=True).clamp(min=1e-6)
    z_out = outside @ flat / outside.sum(1, keepdim=True).clamp(min=1e-6)
    return F.normalize((z_in - mean) - beta * (z_out - mean), dim=1)
