"""What unlabelled photos beside the shots add to a fit.

A first fit on the shots alone wholes for the concept in them. A photo in which it is found becomes one more shot, with
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
from ovss_personal.painting.scores import ScoredProposals, concept_shares, decide
from ovss_personal.personal.fit import Example
from ovss_personal.structures import Canvas, Proposals

MANY = 30  # photos; from so many on, those that look like no shot as a whole are left out
LEAST_AREA = 0.003  # of the photo; what is found on less does not count
MOST_SHOTS = 5
NEAREST = 0.6  # of the largest share: what is taken for the concept in a photo in which it is not found
PER_PHOTO = 5  # proposals of a photo without the concept
MOST_COMPETITORS = 200


@dataclass(frozen=True)
class Album:
    """What a fit takes from an album.

    Attributes:
        photos: how many were looked at.
        examples: photos in which the concept was found, in the album's order.
        competitors: (R, D) what came nearest to it where it was not found.
    """

    photos: int
    examples: tuple[Example, ...]
    competitors: Tensor


@dataclass(frozen=True)
class _Sighting:
    """A photo, by its number in the album, and the concept in it; `sure` is its largest share of a cell."""

    number: int
    sure: float
    example: Example


@dataclass(frozen=True)
class _LookAlike:
    """A proposal of a photo in which the concept was not found, and how probable it was."""

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
    wholes = [_whole(proposals) for proposals in own]
    sightings: list[_Sighting] = []
    look_alikes: list[_LookAlike] = []
    nearest: _Sighting | None = None
    count = 0
    for count, (proposals, scored) in enumerate(photos, 1):
        wholes.append(_whole(proposals))
        sighting, found = _sight(count, proposals, scored)
        if found:
            sightings.append(sighting)
            if len(sightings) > MOST_SHOTS:
                sightings.remove(min(sightings, key=lambda one: one.sure))
            continue
        look_alikes += _look_alikes(count, proposals, scored)
        if nearest is None or sighting.sure > nearest.sure:
            nearest = sighting
    if not sightings and nearest:
        sightings = [nearest]
        look_alikes = [one for one in look_alikes if one.number != nearest.number]
    if count >= MANY:
        near = _like_shots(wholes, len(own))
        sightings = [one for one in sightings if near[one.number - 1]]
        look_alikes = [one for one in look_alikes if near[one.number - 1]]
    kept = sorted(look_alikes, key=lambda one: -one.probability)[:MOST_COMPETITORS]
    return Album(
        photos=count,
        examples=tuple(one.example for one in sightings),
        competitors=torch.stack([one.embedding for one in kept]) if kept else own[0].embeddings[:0],
    )


@torch.no_grad()
def _sight(number: int, proposals: Proposals, scored: ScoredProposals) -> tuple[_Sighting, bool]:
    """The photo with the concept where it is found in it, or else where it comes nearest; and which of the two."""
    weights = scored.every_mask.sigmoid()
    personal = concept_shares(scored, weights)
    found = decide(scored, weights) == scored.words.shape[1]
    size, canvas = (int(found.shape[0]), int(found.shape[1])), proposals.canvas
    rows, columns = (round(n * r / p) for n, r, p in zip(size, canvas.resized, canvas.padded, strict=True))
    inside = torch.zeros_like(found)
    inside[:rows, :columns] = True  # the rest is padding
    share = torch.where(inside, personal[0], 0.0)
    found &= inside
    sure, enough = float(share.max()), bool(found[inside].float().mean() >= LEAST_AREA)
    mask = found if enough else share >= NEAREST * sure
    example = Example(replace(proposals, canvas=Canvas(size, size, size)), mask.cpu().numpy())
    return _Sighting(number, sure, example), enough


def _look_alikes(number: int, proposals: Proposals, scored: ScoredProposals) -> list[_LookAlike]:
    """The proposals that come nearest to being the concept, which is not there."""
    best = scored.personal[: len(proposals.embeddings), 0].topk(min(PER_PHOTO, len(proposals.embeddings)))
    rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [_LookAlike(number, probability, proposals.embeddings[index].clone()) for probability, index in rows]


def _whole(proposals: Proposals) -> Tensor:
    """(D,) unit norm: the photo as a whole."""
    return F.normalize(proposals.features.mean((1, 2)), dim=0)


def _like_shots(wholes: Sequence[Tensor], shots: int) -> list[bool]:
    """Of each photo after the first `shots`, whether it is in the group of one of these."""
    features = torch.stack(list(wholes)).cpu().numpy()
    labels = kmeans(features, best_group_count(features)).tolist()
    return [label in labels[:shots] for label in labels[shots:]]
