"""The co-segmentation loss (Shimoda and Yanai): what a labelled photo calls a thing, a similar photo shows as well.

Where the paper's text is ambiguous the reading is the one that its words, not its signs, ask for: the target is the
most similar photo, positions are ranked nearest first, exactly half of them count, the class set leaves out the
background and what the labels lack, and gradient runs through the logarithms alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.pss.classes import IGNORE
from ovss_personal.pss.network import Output


@dataclass(frozen=True)
class Labelled:
    """One labelled photo at feature resolution.

    Attributes:
        hidden: (D, h, w) last hidden features.
        logits: (K, h, w), class 0 the background.
        labels: (h, w) 0 … K - 1, 255 where unknown.
    """

    hidden: Tensor
    logits: Tensor
    labels: Tensor


def cosegmentation_loss(photo: Labelled, hidden: Tensor, logits: Tensor) -> Tensor:
    """-(1/|C|) Σ_c (2/n_c) Σ log p_c over the n_c/2 positions of the target that look most like the photo's c.

    The target is that photo of the pool whose mean feature is nearest. What class c looks like is the feature where
    the photo's own p_c is largest inside its label. 0 where the labels hold no class but the background.

    Args:
        photo: the labelled photo.
        hidden: (T, D, h, w) features of the pool.
        logits: (T, K, h, w) of the pool.
    """
    classes = [int(c) for c in torch.unique(photo.labels) if c not in (0, IGNORE)]
    with torch.no_grad():
        target = int((hidden.mean((2, 3)) - photo.hidden.mean((1, 2))).norm(dim=1).argmin())
        target_pixels = hidden[target].flatten(1)  # (D, n)
    sure = logits[target].log_softmax(0).flatten(1)  # (K, n)
    terms = []
    for c in classes:
        where = photo.labels == c
        with torch.no_grad():
            best = photo.logits.log_softmax(0)[c].masked_fill(~where, -torch.inf).argmax()
            look = photo.hidden.flatten(1)[:, best]  # (D,)
            distance = (target_pixels - look[:, None]).norm(dim=0)
            nearest = distance.argsort(stable=True)[: max(1, int(where.sum()) // 2)]
        terms.append(-sure[c, nearest].mean())
    return torch.stack(terms).mean() if terms else logits.sum() * 0  # a scalar that backward() accepts


def cosegmentation_of_batches(source: Output, labels: Tensor, target: Output) -> Tensor:
    """The mean over the source's photos that show something; the pool is the target batch, photos of one group.

    Args:
        labels: (B, H, W) of the source.
    """
    coarse = F.interpolate(labels[:, None].float(), source.coarse.shape[2:], mode="nearest")[:, 0].long()
    losses = [
        cosegmentation_loss(Labelled(hidden, logits, truth), target.hidden, target.coarse)
        for hidden, logits, truth in zip(source.hidden.detach(), source.coarse.detach(), coarse, strict=True)
        if bool(((truth > 0) & (truth != IGNORE)).any())
    ]
    return torch.stack(losses).mean() if losses else target.coarse.sum() * 0
