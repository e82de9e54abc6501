"""What unlabelled photos beside the shots add to a fit.

A first fit on the shots alone looks for the concept in them. A photo in which it is found becomes one more shot, with
what was found as its mask. In a photo in which it is not, the proposals that come nearest to it become competitors of
the fit, and of the fit only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.groups import best_group_count, kmeans
from ovss_personal.label_map import ScoredProposals, decide, shares
from ovss_personal.personal.fit import FitShot
from ovss_personal.structures import Canvas, Proposals

MANY = 30  # photos from which on only those count that look like a shot as a whole
LEAST_AREA = 0.003  # of the photo; less is not a sighting
MOST_SHOTS = 20
RIVALS = 5  # of a photo without the concept
MOST_RIVALS = 200


@dataclass(frozen=True)
class Album:
    """What is taken from an album.

    Attributes:
        photos: how many were looked at.
        shots: those in which the concept was found, the surest first.
        rivals: (R, D) embeddings of what came nearest to it where it was not.
    """

    photos: int
    shots: tuple[FitShot, ...]
    rivals: Tensor


@dataclass(frozen=True)
class _Sighting:
    """A photo in which the concept was found (`shot`), or was not (`rivals` (R, D) and their `odds` (R,))."""

    sure: float  # largest share of a pixel
    shot: FitShot | None
    rivals: Tensor
    odds: Tensor


def gather(own: Sequence[Proposals], photos: Iterable[tuple[Proposals, ScoredProposals]]) -> Album:
    """Judge an album, one photo at a time; no more than `MOST_SHOTS` of what was seen are held at once per group.

    Args:
        own: what the base saw in the shots.
        photos: the same of the album's photos, and the scores of the (one) concept there after the first fit.

    Raises:
        UsageError: there are `MANY` photos or more, and scikit-learn is not installed.
    """
    looks = [_whole(proposals) for proposals in own]
    found: list[tuple[float, int, FitShot]] = []
    missed: list[tuple[int, Tensor, Tensor]] = []
    for number, (proposals, scored) in enumerate(photos):
        looks.append(_whole(proposals))
        seen = _judged(proposals, scored)
        if seen.shot is None:
            missed.append((number, seen.rivals, seen.odds))
        elif len(found) < KEPT:
            heapq.heappush(found, (seen.sure, -number, seen.shot))
        else:
            heapq.heappushpop(found, (seen.sure, -number, seen.shot))
    return None  # type: ignore
