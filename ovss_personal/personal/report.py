"""How well a fitted concept finds its own shots again, and each shot from the others alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import torch

from ovss_personal.label_map import ScoredProposals, decide, shares
from ovss_personal.personal.fit import FitShot, on_grid
from ovss_personal.personal.head import PersonalHead

OUTLIER_GAP = 0.3  # of IoU below the median of the others

Scorer = Callable[[FitShot, PersonalHead], ScoredProposals]


@torch.no_grad()
def shot_iou(shot: FitShot, scored: ScoredProposals) -> float:
    """IoU of the (one) concept in `scored` with the shot's mask, on the proposals' grid; ignored cells left out."""
    weights = scored.masks.sigmoid()
    words, personal = shares(scored, weights)
    found = decide(words, personal, weights.sum(0), scored.thresholds) == len(words)
    truth, valid = on_grid(shot)
    if valid is not None:
        found = found & valid
    return float((found & truth).sum() / (found | truth).sum().clamp(min=1))


def left_out_ious(
    shots: Sequence[FitShot], fit_on: Callable[[Sequence[int]], PersonalHead], scorer: Scorer
) -> list[float]:
    """For each of K ≥ 2 shots, its IoU under a concept fitted on the other K - 1.

    Args:
        fit_on: fits a head on the shots of these indices.
    """
    every = range(len(shots))
    heads = [fit_on([i for i in every if i != left]) for left in every]
    return [shot_iou(shot, scorer(shot, head)) for shot, head in zip(shots, heads, strict=True)]


def outliers(ious: Sequence[float]) -> list[bool]:
    """Which leave-one-out IoUs lie far below the others'; none of fewer than three."""
    if len(ious) < 3:
        return [False] * len(ious)
    others = [median([*ious[:i], *ious[i + 1 :]]) for i in range(len(ious))]
    return [other - iou > OUTLIER_GAP for iou, other in zip(ious, others, strict=True)]
