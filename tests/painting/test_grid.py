from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ovss_personal.painting.grid import coverage, mask_rows, overlaps, to_grid
from ovss_personal.structures import BoolMask, Canvas

sides = st.integers(3, 40)
seeds = st.integers(0, 2**16)


def whole(height: int, width: int) -> Canvas:
    """An image that fills its canvas, pixel by pixel."""
    return Canvas((height, width), (height, width), (height, width))


def box(height: int, width: int, rows: slice, columns: slice) -> BoolMask:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


@given(height=sides, width=sides, seed=seeds, band=st.integers(1, 17))
def test_bands_of_rows_equal_torch_s_interpolation(height: int, width: int, seed: int, band: int) -> None:
    masks = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(seed))
    expected = F.interpolate(masks[None], (height, width), mode="bilinear", align_corners=False)[0]
    canvas = whole(height, width)
    bands = [mask_rows(masks, canvas, at, min(at + band, height)) for at in range(0, height, band)]
    assert torch.allclose(torch.cat(bands, 1), expected, atol=1e-5)


@given(height=sides, width=sides, seed=seeds, band=st.integers(1, 17))
def test_to_the_canvas_cropped_and_to_the_image(height: int, width: int, seed: int, band: int) -> None:
    masks = torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(seed))
    on_canvas = F.interpolate(masks[None], (32, 48), mode="bilinear", align_corners=False)[:, :, :24, :40]
    expected = F.interpolate(on_canvas, (height, width), mode="bilinear", align_corners=False)[0]
    canvas = Canvas((height, width), (24, 40), (32, 48))
    bands = [mask_rows(masks, canvas, at, min(at + band, height)) for at in range(0, height, band)]
    assert torch.allclose(torch.cat(bands, 1), expected, atol=1e-5)


def test_enlarging_by_two_by_hand() -> None:
    # Centres of the four rows lie at -1/4, 1/4, 3/4 and 5/4 cells from the first cell's.
    masks = torch.tensor([[[0.0], [1.0]]])
    rows = mask_rows(masks, Canvas((4, 1), (4, 1), (4, 1)), 0, 4)
    assert rows.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_masks_keep_their_dtype() -> None:
    assert mask_rows(torch.zeros(1, 4, 4, dtype=torch.float64), whole(8, 8), 0, 2).dtype == torch.float64


@given(height=sides, width=sides, seed=seeds)
def test_coverage_keeps_the_area(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    cover = coverage(mask, whole(height, width), (7, 5))
    assert cover.min() >= 0 and cover.max() <= 1 + 1e-5
    pixels_a_cell = height / 7 * width / 5
    assert cover.sum().item() * pixels_a_cell == pytest.approx(mask.sum(), abs=1e-2)


def test_coverage_by_hand() -> None:
    # Cells of 2 x 2 pixels; the mask's rows 0-1, columns 1-3 cover half of the first cell, all of the second.
    mask = box(4, 4, slice(0, 2), slice(1, 4))
    assert coverage(mask, whole(4, 4), (2, 2)).tolist() == [[0.5, 1.0], [0.0, 0.0]]
    # The same image on the upper half of a canvas: rows 0-3 take cells 0-1 of 4.
    padded = Canvas((4, 4), (32, 64), (64, 64))
    assert coverage(mask, padded, (4, 2)).tolist() == [[0.5, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_cell_half_covered_is_in() -> None:
    mask = box(4, 4, slice(0, 2), slice(1, 4))
    assert to_grid(mask, whole(4, 4), torch.empty(2, 2)).tolist() == [[True, True], [False, False]]


@given(y=st.integers(0, 39), x=st.integers(0, 29))
def test_a_mask_of_one_pixel_never_vanishes(y: int, x: int) -> None:
    found = to_grid(box(40, 30, slice(y, y + 1), slice(x, x + 1)), whole(40, 30), torch.empty(4, 3))
    assert found.sum() == 1 and found[y // 10, x // 10]


def test_full_and_empty_masks_stay_so() -> None:
    assert to_grid(np.ones((9, 11), bool), whole(9, 11), torch.empty(4, 4)).all()
    assert not to_grid(np.zeros((9, 11), bool), whole(9, 11), torch.empty(4, 4)).any()


def test_overlaps_of_every_two_masks() -> None:
    masks = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    both, iou = overlaps(masks)
    assert both.tolist() == [[2, 1, 0], [1, 3, 0], [0, 0, 0]]
    assert iou.tolist() == [[1, 0.25, 0], [0.25, 1, 0], [0, 0, 0]]
