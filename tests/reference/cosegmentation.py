"""The co-segmentation paper's losses that PSS has no use for: of photos with object masks, of labelled photos alone.

Without masks, `cosegmentation_loss` is that of `ovss_personal.pss.cosegmentation`, written position by position.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ovss_personal.pss.classes import IGNORE
from ovss_personal.pss.cosegmentation import Labelled


def cosegmentation_loss(
    photo: Labelled, hidden: Tensor, logits: Tensor, mask: Tensor | None = None, masks: Tensor | None = None
) -> Tensor:
    """The loss of a labelled photo against a pool of photos whose objects are masked.

    Args:
        photo: the labelled photo.
        hidden: (T, D, h, w) features of the pool.
        logits: (T, K, h, w) of the pool.
        mask: (h, w) 0 or 1, where the photo shows the object at all; everywhere if left out.
        masks: (T, h, w) likewise for the pool; positions outside are never chosen.
    """
    mask = torch.ones_like(photo.labels) if mask is None else mask
    masks = torch.ones_like(hidden[:, 0]) if masks is None else masks
    seen, pool = photo.hidden * mask, hidden * masks[:, None]
    distances = [float((one.mean((1, 2)) - seen.mean((1, 2))).norm()) for one in pool]
    target = distances.index(min(distances))
    inside = [tuple(place) for place in masks[target].nonzero().tolist()]
    if not inside:
        return torch.zeros(())
    log_p, own_log_p = logits[target].log_softmax(0), photo.logits.log_softmax(0)
    terms = []
    for c in classes_of(photo.labels):
        places = [tuple(place) for place in (photo.labels == c).nonzero().tolist()]
        best = max(places, key=lambda place: float(own_log_p[(c, *place)]))
        look = seen[(slice(None), *best)]
        ranked = sorted(inside, key=lambda place: float((pool[(target, slice(None), *place)] - look).norm()))
        chosen = ranked[: max(1, len(places) // 2)]
        terms.append(-torch.stack([log_p[(c, *place)] for place in chosen]).mean())
    return torch.stack(terms).mean() if terms else torch.zeros(())


def parts_loss(photo: Labelled) -> Tensor:
    """-(1/|C|) Σ_c mean of log p_c over the photo's own c: cross-entropy in which every class weighs the same."""
    log_p = photo.logits.log_softmax(0)
    terms = [-log_p[c][photo.labels == c].mean() for c in classes_of(photo.labels)]
    return torch.stack(terms).mean() if terms else photo.logits.sum() * 0


def foreground_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """-mean over the mask of log(1 - p_0): something of the object is there. (K, h, w), (h, w) -> ()."""
    background = logits.softmax(0)[0][mask > 0]
    if not background.numel():
        return logits.sum() * 0
    return -torch.log((1 - background).clamp(min=1e-6)).mean()


def classes_of(labels: Tensor) -> list[int]:
    """The classes in (h, w) labels, without the background and what is unknown."""
    return [int(c) for c in torch.unique(labels) if c not in (0, IGNORE)]
