from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovss_personal.bases.embedded.tiles import FEATURE_GRID, GRID, MAX_PROPOSALS, Box, View, merge_tiles, tile_boxes

SIZE = (64, 64)
BOXES = tile_boxes(*SIZE, 4)  # 0-40 and 24-64 on each axis


def view(masks: torch.Tensor, quality: float = 0.5) -> View:
    """Proposal n has embedding (1, n)."""
    embeddings = torch.stack((torch.ones(len(masks)), torch.arange(len(masks)).float()), 1)
    return View(masks, embeddings, torch.ones(2, 4, 4), torch.full((len(masks),), quality))


def blobs(*places: tuple[int, int], side: int = 32, size: int = 6) -> torch.Tensor:
    masks = torch.full((len(places), side, side), -5.0)
    for mask, (y, x) in zip(masks, places, strict=True):
        mask[y : y + size, x : x + size] = 5.0
    return masks


@given(height=st.integers(16, 400), width=st.integers(16, 400), tiles=st.integers(1, 20))
def test_boxes_cover_the_image_and_lie_within_it(height: int, width: int, tiles: int) -> None:
    boxes = tile_boxes(height, width, tiles)
    assert len(boxes) >= tiles and round(len(boxes) ** 0.5) ** 2 == len(boxes)
    covered = np.zeros((height, width), bool)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
        covered[box.top : box.bottom, box.left : box.right] = True
    assert covered.all()


def test_nine_tiles_of_512_are_those_that_were_measured() -> None:
    starts = [(box.top, box.left) for box in tile_boxes(512, 512, 9)]
    assert starts == [(y, x) for y in (0, 96, 192) for x in (0, 96, 192)]
    assert {box.bottom - box.top for box in tile_boxes(512, 512, 9)} == {320}


def merged(*tile_masks: torch.Tensor, whole: torch.Tensor | None = None, quality: float = 0.5) -> View:
    whole = blobs((1, 1), (20, 20)) if whole is None else whole
    nothing = blobs((0, 0))[:0]
    masks = [*tile_masks, *[nothing] * (4 - len(tile_masks))]
    tiles = [(box, view(m, quality)) for box, m in zip(BOXES, masks, strict=True)]
    return merge_tiles(view(whole), tiles, SIZE)


def test_there_are_always_200_proposals_the_whole_image_s_first() -> None:
    found = merged(blobs((12, 12)))
    assert found.masks.shape == (MAX_PROPOSALS, GRID, GRID)
    assert found.embeddings.shape == (MAX_PROPOSALS, 2) and found.quality.shape == (MAX_PROPOSALS,)
    assert found.features.shape == (2, FEATURE_GRID, FEATURE_GRID)
    assert found.embeddings[:3].tolist() == [[1, 0], [1, 1], [1, 0]]
    assert not found.embeddings[3:].any() and (found.masks[3:] < -10).all()
    # The crop's cells 12-18 of 32 over pixels 0-40 are the image's pixels 15-22.5, the grid's 45-67.5.
    rows = (found.masks[2] > 0).any(1).nonzero().squeeze(1)
    assert (int(rows[0]), int(rows[-1])) == (45, 66)


def test_what_touches_an_inner_border_is_cut_and_dropped() -> None:
    # The first crop's lower and right borders are inside the image, its upper and left ones are the image's own.
    found = merged(blobs((0, 12), (12, 0), (26, 12), (12, 26), (10, 10)))
    assert found.embeddings[2:6].tolist() == [[1, 0], [1, 1], [1, 4], [0, 0]]


def test_a_duplicate_of_a_whole_image_proposal_goes_and_so_does_an_empty_mask() -> None:
    # Cells 16-22 of the crop's 32 are pixels 20-27.5; the same in the whole image's 32 cells of 2 pixels: 10-13.75.
    whole = torch.full((1, 32, 32), -5.0)
    whole[0, 10:14, 10:14] = 5.0
    same, empty = blobs((16, 16)), torch.full((1, 32, 32), -5.0)
    found = merged(torch.cat((same, empty)), whole=whole)
    assert found.embeddings[:2].tolist() == [[1, 0], [0, 0]]


def test_of_two_duplicates_the_better_stays() -> None:
    tiles = [(BOXES[0], view(blobs((12, 12)), 0.2)), *((b, view(blobs((0, 0))[:0])) for b in BOXES[1:])]
    better = View(blobs((12, 12)), torch.tensor([[7.0, 7.0]]), torch.ones(2, 4, 4), torch.tensor([0.9]))
    found = merge_tiles(view(blobs((1, 1))), [*tiles, (BOXES[0], better)], SIZE)
    assert found.embeddings[1].tolist() == [7.0, 7.0] and not found.embeddings[2].any()


def test_the_best_fill_the_places_that_are_free() -> None:
    whole = blobs((1, 1)).repeat(199, 1, 1)
    found = merged(blobs((12, 12)), blobs((12, 12)), whole=whole, quality=0.5)
    assert len(found.masks) == MAX_PROPOSALS and found.embeddings[199].tolist() == [1, 0]


def test_features_are_averaged_where_crops_overlap() -> None:
    nothing = blobs((0, 0))[:0]
    tiles = [
        (box, View(nothing, torch.zeros(0, 2), torch.full((2, 4, 4), float(i)), torch.zeros(0)))
        for i, box in enumerate(BOXES)
    ]
    features = merge_tiles(view(blobs((1, 1))), tiles, SIZE).features
    corners = [features[0, y, x].item() for y in (0, -1) for x in (0, -1)]
    assert corners == [0.0, 1.0, 2.0, 3.0] and features[0, 26, 26].item() == pytest.approx(1.5)


@pytest.mark.parametrize("box", [Box(0, 40, 0, 40), Box(24, 64, 24, 64)])
def test_a_mask_at_the_image_s_own_border_is_whole(box: Box) -> None:
    corner = blobs((0, 0)) if box.top == 0 else blobs((26, 26))
    found = merge_tiles(view(blobs((12, 12))), [(b, view(corner if b == box else corner[:0])) for b in BOXES], SIZE)
    assert found.embeddings[1].tolist() == [1, 0]
