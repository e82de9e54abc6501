"""How well a fitted concept finds its own shots again, and each shot from the others alone.

The second also says at which share of a pixel this concept is best told from what is not it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.painting.scores import ScoredProposals, concept_shares, decide
from ovss_personal.personal.fit import Example

OUTLIER_GAP = 0.3  # of IoU below the median of the others
THRESHOLDS = (0.05, 0.075, 0.1, 0.125, 0.15, *(0.05 * i for i in range(4, 15)))
USUAL_SHARE = 0.6  # of an object's pixels in a view that was left out; chosen on things pasted on photographs
LEAST_SHARE, MOST = 0.05, 0.95  # keep such a threshold above nothing and below all
RELATED = 0.5  # of how alike photos of one thing are; of the demo's two it is above 0.7 within, below 0.2 between
NOT_FOUND, FOUND = 0.1, 0.5  # of IoU: less, and more
PLATEAU = 0.01  # of IoU below the best; thresholds within it are as good as the best


@torch.no_grad()
def shot_iou(shot: Example, scored: ScoredProposals) -> float:
    """IoU of the (one) concept in `scored` with the shot's mask, on the proposals' grid; ignored cells left out."""
    labels = decide(scored, scored.every_mask.sigmoid())
    return _iou(shot, labels == scored.words.shape[1])


def _iou(shot: Example, found: Tensor) -> float:
    truth, valid = shot.on_grid
    if valid is not None:
        found = found & valid
    return float((found & truth).sum() / (found | truth).sum().clamp(min=1))


@torch.no_grad()
def tuned_threshold(
    pictures: Sequence[Example], alone: Sequence[ScoredProposals], default: float, of_fewer: float
) -> float:
    """Half way (geometrically) from the base's `default` to the threshold that finds the left-out pictures best.

    Half way, since a few pictures with little beside the object in them say little of what it may be mistaken for.

    Args:
        alone: each picture, scored by what the others taught.
        of_fewer: the base's threshold for a concept that was learned from so many shots as taught that.
    """
    found = [concept_shares(scored, scored.every_mask.sigmoid())[0] for scored in alone]
    ious = [fmean(_iou(one, f > limit) for one, f in zip(pictures, found, strict=True)) for limit in THRESHOLDS]
    logs = [math.log(t) for t, iou in zip(THRESHOLDS, ious, strict=True) if iou >= max(ious) - PLATEAU]
    best = sum(logs) / len(logs) + math.log(default / of_fewer)
    return math.exp((math.log(default) + best) / 2)


@torch.no_grad()
def threshold_by_views(views: Sequence[Example], alone: Sequence[ScoredProposals], default: float) -> float:
    """The base's `default`, times how much of its pixels the object has in views that were left out, by `USUAL_SHARE`.

    What is found hardly even in another view of its only photo is found less in other photos.
    """
    found = [concept_shares(scored, scored.every_mask.sigmoid())[0] for scored in alone]
    reached = fmean(float(share[view.on_grid[0]].mean()) for view, share in zip(views, found, strict=True))
    return min(MOST, default * min(1.0, reached + LEAST_SHARE) / USUAL_SHARE)


@torch.no_grad()
def strangers(looks: Sequence[Tensor], ious: Sequence[float], alone: Sequence[float]) -> list[list[int]]:
    """Groups of shots that show different things, as it seems, each of two or more; or all by themselves; or none.

    That a shot is found by what the others teach says nothing against it, where each thing has several shots: those
    of the same thing find each other. So the looks of the masks are compared. They belong together if they are chained
    by pairs that are at least half as much alike as a shot and the one most like it usually are.

    Args:
        looks: of each shot the masked mean of its features (visual.py), (D,).
        ious: of each shot the IoU of what all teach.
        alone: of each shot the leave-one-out IoU.
    """
    if len(alone) > 1 and max(alone) < NOT_FOUND and min(ious) > FOUND:
        return [[shot] for shot in range(len(alone))]
    if len(looks) < 4:
        return []
    rows = F.normalize(torch.stack(list(looks)), dim=1)
    alike = (rows @ rows.T).fill_diagonal_(-1)
    linked = alike >= RELATED * alike.max(1).values.median()
    groups: list[list[int]] = []
    left = set(range(len(looks)))
    while left:
        group, reached = set[int](), {min(left)}
        while reached:
            group |= reached
            reached = {j for i in reached for j in left - group if linked[i, j]}
        left -= group
        groups.append(sorted(group))
    several = [group for group in groups if len(group) > 1]
    return several if len(several) > 1 else []


def outliers(ious: Sequence[float]) -> list[bool]:
    """Which leave-one-out IoUs lie far below the others'; none of fewer than three."""
    if len(ious) < 3:
        return [False] * len(ious)
    others = [median([*ious[:i], *ious[i + 1 :]]) for i in range(len(ious))]
    return [other - iou > OUTLIER_GAP for iou, other in zip(ious, others, strict=True)]
