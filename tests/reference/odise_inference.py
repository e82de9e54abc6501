"""From mask logits and final logits to panoptic and instance segmentation, as ODISE evaluates them.

The program labels pixels, which is semantic segmentation, with `label_map`; these are for comparison with published
numbers. Masks come at the image's size, from `grid.mask_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """A panoptic segment: its id in the map, from 1, and its class."""

    id: int
    category: int
    thing: bool


def panoptic(
    masks: Tensor, logits: Tensor, things: Sequence[bool], overlap: float = 0.8
) -> tuple[Tensor, list[Segment]]:
    """A map of segment ids (H, W) int64, 0 where there is none, and the segments.

    Args:
        masks: (Q, H, W) logits.
        logits: (Q, K + 1) final logits, "nothing" last.
        things: of each class; the segments of a class that is no thing are one.
        overlap: a query that wins a smaller share of its mask than this has no segment.
    """
    scores, classes = logits.softmax(-1).max(-1)
    keep = classes < len(things)
    weights = masks[keep].sigmoid()
    ids = torch.zeros(masks.shape[1:], dtype=torch.long, device=masks.device)
    segments: list[Segment] = []
    if not keep.any():
        return ids, segments
    winner = (scores[keep, None, None] * weights).argmax(0)
    of_stuff: dict[int, int] = {}
    for query, category in enumerate(classes[keep].tolist()):
        won, inside = winner == query, weights[query] >= 0.5
        segment = won & inside
        if not segment.any() or won.sum() < overlap * inside.sum():
            continue
        if category in of_stuff:
            ids[segment] = of_stuff[category]
            continue
        segments.append(Segment(len(segments) + 1, category, things[category]))
        ids[segment] = segments[-1].id
        if not things[category]:
            of_stuff[category] = segments[-1].id
    return ids, segments


def instances(masks: Tensor, logits: Tensor, things: Sequence[bool], top: int = 100) -> tuple[Tensor, Tensor, Tensor]:
    """The most probable things: masks (n, H, W) bool, classes (n,) int64 and scores (n,).

    Args:
        masks, logits, things: as in `panoptic`.
        top: how many pairs of query and class are looked at before those that are no thing go.
    """
    probability = logits.softmax(-1)[:, :-1].flatten()
    best, index = probability.topk(min(top, len(probability)), sorted=False)
    classes, queries = index % len(things), index // len(things)
    keep = torch.tensor(list(things), device=masks.device)[classes]
    chosen = masks[queries[keep]]
    inside = chosen > 0
    quality = (chosen.sigmoid() * inside).sum((1, 2)) / (inside.sum((1, 2)) + 1e-6)
    return inside, classes[keep], best[keep] * quality
