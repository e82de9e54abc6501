"""What ODISE was trained with: matching, classification, mask and grounding losses, unweighted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reference.points import sample

POINTS = 12544  # at which masks are compared
CLASS, BCE, DICE = 2.0, 5.0, 5.0  # weights of the terms, in the matching and in the sum
NOTHING = 0.1  # weight of a query without a target


@dataclass(frozen=True)
class Match:
    """Which query is held to which target: both (T,) int64."""

    queries: Tensor
    targets: Tensor


@torch.no_grad()
def match(
    logits: Tensor, masks: Tensor, classes: Tensor, targets: Tensor, generator: torch.Generator | None = None
) -> Match:
    """The cheapest assignment of queries to targets, their masks compared at random points.

    Shape: logits (Q, K + 1), masks (Q, h, w) logits, classes (T,), targets (T, H, W) in {0, 1}.
    """
    from scipy.optimize import linear_sum_assignment

    points = torch.rand(1, POINTS, 2, generator=generator, device=masks.device)
    found, truth = sample(masks, points), sample(targets, points)
    positive = F.softplus(-found) @ truth.T
    negative = F.softplus(found) @ (1 - truth).T
    p = found.sigmoid()
    dice = 1 - (2 * p @ truth.T + 1) / (p.sum(1)[:, None] + truth.sum(1) + 1)
    cost = BCE * (positive + negative) / POINTS + DICE * dice - CLASS * logits.softmax(-1)[:, classes]
    queries, matched = linear_sum_assignment(cost.cpu().numpy())
    return Match(torch.from_numpy(queries), torch.from_numpy(matched))


def class_loss(logits: Tensor, classes: Tensor, matched: Match) -> Tensor:
    """() cross-entropy over all queries; those without a target are "nothing".

    Shape: logits (Q, K + 1), classes (T,).
    """
    nothing = logits.shape[1] - 1
    target = torch.full((len(logits),), nothing, device=logits.device)
    target[matched.queries] = classes[matched.targets]
    weight = torch.ones(nothing + 1, device=logits.device)
    weight[nothing] = NOTHING
    return F.cross_entropy(logits, target, weight)


def mask_losses(
    masks: Tensor, targets: Tensor, matched: Match, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice, () each, at points where the masks are uncertain.

    Shape: masks (Q, h, w) logits, targets (T, H, W) in {0, 1}.
    """
    chosen = masks[matched.queries]
    points = uncertain_points(chosen, generator)
    found, truth = sample(chosen, points), sample(targets[matched.targets], points)
    count = max(len(targets), 1)
    bce = F.binary_cross_entropy_with_logits(found, truth, reduction="none").mean(1).sum() / count
    p = found.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + 1) / (p.sum(1) + truth.sum(1) + 1)
    return bce, dice.sum() / count


@torch.no_grad()
def uncertain_points(masks: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(T, 12544, 2): of three times as many random points, those nearest to a mask's edge; a quarter is any."""
    kept = POINTS * 3 // 4
    points = torch.rand(len(masks), 3 * POINTS, 2, generator=generator, device=masks.device)
    nearest = sample(masks, points).abs().topk(kept, dim=1, largest=False).indices
    edge = points.gather(1, nearest[:, :, None].expand(-1, -1, 2))
    anywhere = torch.rand(len(masks), POINTS - kept, 2, generator=generator, device=masks.device)
    return torch.cat((edge, anywhere), 1)


def grounding_loss(embeddings: Tensor, words: Tensor, scale: Tensor | float) -> Tensor:
    """() contrast of images and captions, in both directions: the caption model's.

    Shape: mask embeddings (B, Q, D), embeddings of the phrases of each caption (B, L, D), neither normalised.
    """
    cosines = torch.einsum("iqd,jld->ijlq", F.normalize(embeddings, dim=-1), F.normalize(words, dim=-1))
    similarity = scale * cosines
    score = (similarity.softmax(-1) * similarity).sum(-1).mean(-1)  # (image, caption)
    own = torch.arange(len(score), device=score.device)
    return (F.cross_entropy(score, own) + F.cross_entropy(score.T, own)) / 2
