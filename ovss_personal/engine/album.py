"""What unlabelled photos beside the shots add to a fit.

A first fit on the shots alone looks for the concept in them. A photo in which it is found becomes one more shot, with
what was found as its mask; if it is found in none, the photo that comes nearest does. In the others, the proposals that
come nearest to the concept become competitors, in the fit and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.engine.groups import best_group_count, kmeans
from ovss_personal.painting.label_map import ScoredProposals, decide, shares
from ovss_personal.personal.fit import FitShot
from ovss_personal.structures import Canvas, Proposals

MANY = 30  # photos; from so many on, those that look like no shot as a whole are left out
LEAST_AREA = 0.003  # of the photo; what is found on less does not count
MOST_SHOTS = 5
NEAREST = 0.6  # of the largest share: what is taken for the concept in a photo in which it is not found
RIVALS = 5  # proposals of a photo without the concept
MOST_RIVALS = 200


@dataclass(frozen=True)
class Album:
    """What a fit takes from an album.

    Attributes:
        photos: how many were looked at.
        shots: those in which the concept was found, in the album's order.
        rivals: (R, D) what came nearest to it where it was not found.
    """

    photos: int
    shots: tuple[FitShot, ...]
    rivals: Tensor


@dataclass(frozen=True)
class _Sighting:
    """A photo, by its number in the album, and the concept in it; `sure` is its largest share of a cell."""

    number: int
    sure: float
    shot: FitShot


@dataclass(frozen=True)
class _Rival:
    number: int
    probability: float
    embedding: Tensor  # (D,)


def gather(own: Sequence[Proposals], photos: Iterable[tuple[Proposals, ScoredProposals]]) -> Album:
    """Judge an album, one photo at a time; what was seen in at most `MOST_SHOTS` + 1 of them is held at once.

    Args:
        own: what the base saw in the shots.
        photos: the same of each photo of the album, and what a fit on the shots makes of it (one concept).

    Raises:
        UsageError: there are `MANY` photos, and scikit-learn is not installed.
    """
    looks = [_whole(proposals) for proposals in own]
    sightings: list[_Sighting] = []
    rivals: list[_Rival] = []
    nearest: _Sighting | None = None
    count = 0
    for count, (proposals, scored) in enumerate(photos, 1):
        looks.append(_whole(proposals))
        sighting, found = _look(count, proposals, scored)
        if found:
            sightings.append(sighting)
            if len(sightings) > MOST_SHOTS:
                sightings.remove(min(sightings, key=lambda one: one.sure))
            continue
        rivals += _rivals(count, proposals, scored)
        if nearest is None or sighting.sure > nearest.sure:
            nearest = sighting
    if not sightings and nearest:
        sightings = [nearest]
        rivals = [one for one in rivals if one.number != nearest.number]
    if count >= MANY:
        near = _like_shots(looks, len(own))
        sightings = [one for one in sightings if near[one.number - 1]]
        rivals = [one for one in rivals if near[one.number - 1]]
    kept = sorted(rivals, key=lambda one: -one.probability)[:MOST_RIVALS]
    return Album(
        photos=count,
        shots=tuple(one.shot for one in sightings),
        rivals=torch.stack([one.embedding for one in kept]) if kept else own[0].embeddings[:0],
    )


@torch.no_grad()
def _look(number: int, proposals: Proposals, scored: ScoredProposals) -> tuple[_Sighting, bool]:
    """The photo with the concept where it is found in it, or else where it comes nearest; and which of the two."""
    weights = scored.masks.sigmoid()
    words, personal = shares(scored, weights)
    found = decide(words, personal, weights.sum(0), scored.thresholds) == len(words)
    size, canvas = (int(found.shape[0]), int(found.shape[1])), proposals.canvas
    rows, columns = (round(n * r / p) for n, r, p in zip(size, canvas.resized, canvas.padded, strict=True))
    inside = torch.zeros_like(found)
    inside[:rows, :columns] = True  # the rest is padding
    share = torch.where(inside, personal[0], 0.0)
    found &= inside
    sure, enough = float(share.max()), bool(found[inside].float().mean() >= LEAST_AREA)
    mask = found if enough else share >= NEAREST * sure
    shot = FitShot(replace(proposals, canvas=Canvas(size, size, size)), mask.cpu().numpy())
    return _Sighting(number, sure, shot), enough


def _rivals(number: int, proposals: Proposals, scored: ScoredProposals) -> list[_Rival]:
    """The proposals that come nearest to being the concept, which is not there."""
    best = scored.personal[: len(proposals.embeddings), 0].topk(min(RIVALS, len(proposals.embeddings)))
    rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [_Rival(number, probability, proposals.embeddings[index].clone()) for probability, index in rows]


def _whole(proposals: Proposals) -> Tensor:
    """(D,) unit norm: the photo as a whole."""
    return F.normalize(proposals.features.mean((1, 2)), dim=0)


def _like_shots(looks: Sequence[Tensor], shots: int) -> list[bool]:
    """Of each photo after the first `shots`, whether it is in the group of one of these."""
    features = torch.stack(list(looks)).cpu().numpy()
    labels = kmeans(features, best_group_count(features)).tolist()
    return [label in labels[:shots] for label in labels[shots:]]
