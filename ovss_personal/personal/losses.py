"""The equations that are minimised, one pure function each. Logits in, scalars out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def classification_loss(
    personal: Tensor, competing: Tensor, positive: Tensor, void: Tensor | None = None, no_object: float = 0.1
) -> Tensor:
    """The classification term of eq. 1: proposals on the object are the concept, all others "no object".

    Shape: all (..., N) -> (...). A weighted mean over proposals: weight 1 for positives, `no_object` for the others.

    Args:
        personal: logit of the personal word.
        competing: logsumexp of the logits of everything it competes with, the void row included.
        positive: bool, true for the proposals on the object.
        void: logit of the void row; without one, "no object" means "anything but the personal word".
        no_object: weight of the others.
    """
    everything = torch.logaddexp(personal, competing)
    other = F.softplus(personal - competing) if void is None else everything - void
    loss = torch.where(positive, everything - personal, other)
    weight = torch.where(positive, 1.0, no_object)
    return (weight * loss).sum(-1) / weight.sum(-1)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The dice term of eq. 1, smoothed by 1 as in Mask2Former.  Shape: (N, P), (P,) -> (N,)."""
    p = logits.sigmoid()
    return 1 - (2 * (p @ target) + 1) / (p.sum(-1) + target.sum() + 1)


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The bce term of eq. 1, mean over pixels.  Shape: (N, P), (P,) -> (N,)."""
    return F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none").mean(-1)


def negative_embedding_loss(logits: Tensor, personal: int) -> Tensor:
    """Eq. 3: cross-entropy of the negative embedding's word distribution against the uniform one over all words
    but the personal one.

    Shape: logits (..., V + 1) of Z_neg against [T_open; T_vis], `personal` the index of T_vis -> (...).
    """
    log_s = F.log_softmax(logits, dim=-1)
    return -(log_s.sum(-1) - log_s[..., personal]) / (logits.shape[-1] - 1)


def negative_mask_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Eq. 5: bce of the negative mask against everything that is not the object.

    Shape: logits (...), mask (...) bool, at the cells that count -> ().
    """
    return F.binary_cross_entropy_with_logits(logits, 1 - mask.to(logits))
