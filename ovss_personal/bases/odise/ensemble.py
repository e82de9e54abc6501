"""The geometric ensemble of the trained scores with those of mask-pooled CLIP, and the final probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shares:
    """The exponents of CLIP's half: of words that training has seen, and of all others."""

    seen: float
    unseen: float


LABEL = Shares(0.30, 0.70)
CAPTION = Shares(0.35, 0.65)


def ensemble(trained: Tensor, clip: Tensor, seen: Tensor, shares: Shares) -> Tensor:
    """E = (1 - w) · ln A + w · ln P, where A and P are the softmaxes over the words and w is CLIP's share.

    Shape: trained and clip logits (..., V) without "nothing", seen (V,) bool -> (..., V).
    """
    share = torch.where(seen, shares.seen, shares.unseen).to(trained)
    return (1 - share) * trained.log_softmax(-1) + share * clip.log_softmax(-1)


def final_logits(scores: Tensor, nothing: Tensor) -> Tensor:
    """ln of the final probabilities, "nothing" last.

    Shape: ensemble scores (..., N, V), probability of being nothing (..., N) -> (..., N, V + 1).
    """
    last = nothing[..., None]
    return (torch.cat(((1 - last) * scores.softmax(-1), last), -1) + 1e-8).log()
