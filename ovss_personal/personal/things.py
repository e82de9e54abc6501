"""Things, not proposals, are mine or not: several proposals show one thing, and of a unique thing a photo has one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ovss_personal.painting.grid import overlaps
from ovss_personal.painting.pieces import connected

ALIKE = 0.5  # IoU from which two proposals show one thing
APART = 0.3  # share of the smaller of two proposals below which they overlap too little to show one thing
MAIN_PIECE = 0.95  # share of a mask that is connected, at least, if it is one piece; crumbs do not count
CRUMBS = 8  # looked at before the largest piece, at most


def one_thing(probability: Tensor, masks: Tensor) -> Tensor:
    """Probabilities of the thing that is most likely mine, and of what overlaps it; 0 for all that lies apart.

    Which one that is, the proposals that are alike say together: the mean of their probabilities, weighted by IoU.

    Shape: (N,), mask logits (N, h, w) -> (N,).
    """
    both, iou = overlaps((masks > 0).flatten(1))
    area = both.diagonal()
    weight = torch.where(iou > ALIKE, iou, 0)
    together = (weight @ probability) / weight.sum(1).clamp(min=1e-6)
    best = int(together.argmax())
    near = both[best] > APART * torch.minimum(area, area[best])
    return torch.where(near, probability, 0)


def is_one_thing(mask: Tensor, masks: Tensor) -> bool:
    """Whether the object lies in one piece, and the base sees it as one: the IoU of a proposal with it is above half.

    Of a thing that a base sees in parts, one of these must not be chosen.

    Shape: (h, w) bool, mask logits (N, h, w).
    """
    hard = masks > 0
    iou = (hard & mask).sum((1, 2)) / (hard | mask).sum((1, 2)).clamp(min=1)
    return in_one_piece(mask) and bool(iou.max() > ALIKE)


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
