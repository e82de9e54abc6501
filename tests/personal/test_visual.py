"""Eq. 6, with numbers worked by hand."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch

from ovss_personal.personal.visual import masked_mean, shot_embedding, visual_embedding
from ovss_personal.structures import BoolMask, Canvas, Proposals

FEATURES = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # (1, 2, 2)


def seen(features: torch.Tensor, side: int = 8) -> Proposals:
    canvas = Canvas((side, side), (side, side), (side, side))
    return Proposals(torch.zeros(1, 4, 4), torch.ones(1, len(features)), features, canvas)


def box(rows: slice, columns: slice, side: int = 8) -> BoolMask:
    mask = np.zeros((side, side), bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [(0.0, 1.5), (1.0, 1.5 - 3.5), (0.5, 1.5 - 1.75)],  # inside (1 + 2) / 2, outside (3 + 4) / 2
)
def test_eq_6_is_the_mean_inside_less_contrast_times_the_mean_outside(contrast: float, expected: float) -> None:
    top = torch.tensor([[True, True], [False, False]])
    assert masked_mean(FEATURES, top, contrast).tolist() == pytest.approx([expected])


def test_a_full_mask_has_no_outside_to_subtract() -> None:
    assert masked_mean(FEATURES, torch.ones(2, 2, dtype=torch.bool), contrast=1.0).tolist() == [2.5]


def test_shots_are_averaged_before_the_norm_is_taken() -> None:
    # Means (3, 0) and (0, 1): their mean (1.5, 0.5) has norm √10 / 2.
    one = torch.tensor([3.0, 0.0])[:, None, None].expand(2, 2, 2)
    two = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 2, 2)
    everything = box(slice(None), slice(None))
    found = visual_embedding([shot_embedding(seen(one), everything), shot_embedding(seen(two), everything)])
    assert found.tolist() == pytest.approx([3 / sqrt(10), 1 / sqrt(10)])


def test_a_mask_that_vanishes_on_the_grid_keeps_its_best_covered_cell() -> None:
    # Three pixels at the upper right, one at the lower left; none covers half of a cell of 4 x 4 pixels.
    features = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])
    mask = box(slice(0, 1), slice(5, 8)) | box(slice(7, 8), slice(0, 1))
    assert visual_embedding([shot_embedding(seen(features), mask)]).tolist() == [0.0, 1.0]
