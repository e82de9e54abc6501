"""Things, not proposals, are mine or not: several proposals show one thing, and of a unique thing a photo has one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ovss_personal.painting.pieces import connected

ALIKE = 0.5  # IoU from which two proposals show one thing
PART = 0.8  # share of a proposal that lies on another one, of which it is then a part
MAIN_PIECE = 0.95  # share of a mask that is connected, at least, if it is one piece; crumbs do not count
CRUMBS = 8  # looked at before the largest piece, at most


def one_thing(probability: Tensor, masks: Tensor) -> Tensor:
    """Probabilities of the thing that is most likely mine and of its parts; 0 for all other proposals.

    Which one that is, the proposals that are alike say together: the mean of their probabilities, weighted by IoU.

    Shape: (N,), mask logits (N, h, w) -> (N,).
    """
    hard = (masks > 0).flatten(1).float()
    area = hard.sum(1)
    both = hard @ hard.T
    iou = both / (area[:, None] + area[None] - both).clamp(min=1)
    weight = torch.where(iou > ALIKE, iou, 0)
    together = (weight @ probability) / weight.sum(1).clamp(min=1e-6)
    best = int(together.argmax())
    kept = (iou[best] > ALIKE) | (both[best] > PART * area)
    return torch.where(kept, probability, 0)


def in_one_piece(mask: Tensor) -> bool:
    """Whether a mask (h, w) bool is connected, but for crumbs."""
    left = mask.cpu().numpy()
    whole = int(left.sum())
    for _ in range(CRUMBS + 1):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        piece = connected(left, int(row), int(column))
        if piece.sum() >= MAIN_PIECE * whole:
            return True
        left = left & ~piece
    return False
