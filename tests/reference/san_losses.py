"""SAN's training loss: a matching of queries and targets, then cross entropy, mask and dice losses of the pairs.

Everything random is drawn by the caller's `draw`, so that a step can be repeated number by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reference.points import sample

POINTS = 112 * 112
CANDIDATES = 3 * POINTS
UNCERTAIN = POINTS * 3 // 4  # of the points, where the network knows least; the rest is uniform
NO_OBJECT = 0.1
WEIGHTS = {"ce": 2.0, "mask": 5.0, "dice": 5.0}

Draw = Callable[[tuple[int, int, int]], Tensor]
"""A shape (masks, points, 2) -> that many uniform (x, y) in [0, 1]."""


@dataclass(frozen=True)
class Targets:
    """The ground truth of one image: labels (K,) int64 and masks (K, H, W) float on the padded canvas."""

    labels: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Predictions:
    """What one recorded block says of a batch: class logits (B, N, V + 1) and mask logits (B, N, h, w)."""

    classes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Costs:
    """Of pairing query n with target k, unweighted, each (N, K)."""

    ce: Tensor
    mask: Tensor
    dice: Tensor

    def total(self) -> Tensor:
        return WEIGHTS["ce"] * self.ce + WEIGHTS["mask"] * self.mask + WEIGHTS["dice"] * self.dice


def san_loss(blocks: Sequence[Predictions], targets: Sequence[Targets], draw: Draw) -> dict[str, Tensor]:
    """The unweighted losses; `WEIGHTS` are theirs by the word after `loss_`. The total is the weighted sum.

    Args:
        blocks: the last block first, then block 7, whose losses are named with the suffix `_0`.
        targets: one an image, at least one of them with a mask.
        draw: called three times a block: for the matching once an image, then for the candidates of the uncertain
            points, then for the uniform ones.
    """
    losses = {}
    for index, predictions in enumerate(blocks):
        suffix = f"_{index - 1}" if index else ""
        for name, value in block_loss(predictions, targets, draw).items():
            losses[f"loss_{name}{suffix}"] = value
    return losses


def block_loss(predictions: Predictions, targets: Sequence[Targets], draw: Draw) -> dict[str, Tensor]:
    """`ce`, `mask` and `dice` of one block, unweighted."""
    nothing = predictions.classes.shape[-1] - 1
    wanted = torch.full_like(predictions.classes[..., 0], nothing, dtype=torch.long)  # (B, N)
    logits, masks = [], []
    for image, target in enumerate(targets):
        points = draw((1, POINTS, 2))[0]
        queries, chosen = match(costs(predictions.classes[image], predictions.masks[image], target, points))
        wanted[image, queries] = target.labels[chosen]
        logits.append(predictions.masks[image, queries])
        masks.append(target.masks[chosen])
    importance = predictions.classes.new_ones(nothing + 1)
    importance[nothing] = NO_OBJECT
    ce = F.cross_entropy(predictions.classes.flatten(0, 1), wanted.flatten(), importance)
    mask, dice = mask_losses(torch.cat(logits), torch.cat(masks), draw)
    return {"ce": ce, "mask": mask, "dice": dice}


@torch.no_grad()
def costs(classes: Tensor, masks: Tensor, target: Targets, points: Tensor) -> Costs:
    """Of one image. Shape: classes (N, V + 1), masks (N, h, w), points (P, 2)."""
    x = sample(masks, points.expand(len(masks), -1, -1))  # (N, P)
    t = sample(target.masks, points.expand(len(target.masks), -1, -1))  # (K, P)
    s = x.sigmoid()
    return Costs(
        ce=-classes.softmax(1)[:, target.labels],
        mask=(F.softplus(-x) @ t.T + F.softplus(x) @ (1 - t).T) / len(points),
        dice=1 - (2 * s @ t.T + 1) / (s.sum(1)[:, None] + t.sum(1) + 1),
    )


def match(pairs: Costs) -> tuple[Tensor, Tensor]:
    """The cheapest assignment: indices of queries, rising, and of their targets, each (min(N, K),)."""
    from scipy.optimize import linear_sum_assignment

    queries, targets = linear_sum_assignment(pairs.total().cpu().numpy())
    device = pairs.ce.device
    return torch.as_tensor(queries, device=device), torch.as_tensor(targets, device=device)


def mask_losses(logits: Tensor, masks: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """BCE and dice of matched pairs, at points that are mostly where the logits are near 0; sums / pairs.

    Shape: logits (M, h, w), masks (M, H, W) -> two scalars.
    """
    with torch.no_grad():
        candidates = draw((len(logits), CANDIDATES, 2))
        nearest = sample(logits, candidates).abs().topk(UNCERTAIN, dim=1, largest=False).indices
        uncertain = candidates.gather(1, nearest[..., None].expand(-1, -1, 2))
        points = torch.cat((uncertain, draw((len(logits), POINTS - UNCERTAIN, 2))), 1)
    return point_losses(sample(logits, points), sample(masks, points))


def point_losses(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets at points, each (M, P) -> BCE and dice, summed over the masks and divided by their number."""
    s = x.sigmoid()
    dice = 1 - (2 * (s * t).sum(1) + 1) / (s.sum(1) + t.sum(1) + 1)
    count = max(1, len(x))
    return F.binary_cross_entropy_with_logits(x, t, reduction="none").mean(1).sum() / count, dice.sum() / count
