"""Masks and labels as runs of equal values: how they travel to the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from ovss_personal.painting.grid import mask_rows, overlaps
from ovss_personal.structures import Proposals

GRID_SIDE = 320  # pixels of the longer side of an outline as the page has it
SAME = 0.85  # IoU from which two proposals are one outline
LEAST, MOST = 0.0004, 0.98  # share of the photo that an outline may take


def label_runs(labels: npt.NDArray[np.integer]) -> tuple[list[int], list[int]]:
    """(H, W) integers, read row by row -> the value and the length of each run."""
    flat = labels.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    return flat[starts].tolist(), np.diff(np.append(starts, flat.size)).tolist()


def mask_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """(H, W) bool, read row by row -> lengths of the runs, of which the first is of false and may be 0."""
    values, lengths = label_runs(mask.astype(np.uint8))
    return lengths if values[0] == 0 else [0, *lengths]


def grid_size(height: int, width: int) -> tuple[int, int]:
    """The size (height, width) of a photo's outlines."""
    scale = min(1.0, GRID_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


@torch.no_grad()
def outlines(proposals: Proposals) -> list[dict[str, object]]:
    """The different things to click: `id` of the proposal, `score` in [0, 1], and `runs` on the grid of `grid_size`.

    A proposal's score is the quality that the base predicts, or how little its mask changes with the threshold.
    """
    size = grid_size(*proposals.canvas.original)
    logits = mask_rows(proposals.masks, replace(proposals.canvas, original=size), 0, size[0]).flatten(1)  # (N, P)
    masks = logits > 0
    share = masks.float().mean(1)
    stable = (logits > 1).sum(1) / (logits > -1).sum(1).clamp(min=1)
    score = proposals.extras.get("quality", stable)
    _, iou = overlaps(masks)
    left = [n for n in score.argsort(descending=True).tolist() if LEAST < share[n] < MOST]
    found: list[dict[str, object]] = []
    while left:
        best = left[0]
        alike = {n for n in left if n == best or iou[best, n] > SAME}
        left = [n for n in left if n not in alike]
        runs = mask_runs(masks[best].cpu().numpy().reshape(size))
        found.append({"id": best, "score": round(score[best].item(), 3), "runs": runs})
    return found
