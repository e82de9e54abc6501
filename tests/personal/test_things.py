from __future__ import annotations

import torch

from ovss_personal.personal.things import in_one_piece, is_one_thing, one_thing


def boxes(*corners: tuple[int, int, int, int]) -> torch.Tensor:
    """Mask logits (N, 20, 20) of boxes (top, bottom, left, right)."""
    masks = torch.full((len(corners), 20, 20), -5.0)
    for mask, (top, bottom, left, right) in zip(masks, corners, strict=True):
        mask[top:bottom, left:right] = 5.0
    return masks


def test_of_several_things_the_likeliest_is_left_with_what_overlaps_it() -> None:
    # Itself, nearly itself, a part, another thing, one that touches its edge, all.
    masks = boxes((0, 8, 0, 8), (0, 8, 0, 7), (0, 4, 0, 4), (10, 18, 10, 18), (7, 20, 0, 8), (0, 20, 0, 20))
    found = one_thing(torch.tensor([0.8, 0.7, 0.3, 0.6, 0.5, 0.2]), masks)
    assert torch.allclose(found, torch.tensor([0.8, 0.7, 0.3, 0.0, 0.0, 0.2]))


def test_one_proposal_alone_does_not_outvote_those_that_are_alike() -> None:
    # One of three proposals of the first thing is taken for mine, all of the second are.
    masks = boxes((0, 8, 0, 8), (0, 8, 0, 8), (0, 8, 0, 8), (10, 18, 10, 18), (10, 18, 10, 18))
    found = one_thing(torch.tensor([0.9, 0.1, 0.1, 0.7, 0.6]), masks)
    assert torch.allclose(found, torch.tensor([0.0, 0.0, 0.0, 0.7, 0.6]))


def test_an_empty_proposal_is_no_part_of_anything() -> None:
    masks = torch.cat((boxes((0, 8, 0, 8)), torch.full((1, 20, 20), -5.0)))
    assert one_thing(torch.tensor([0.5, 0.4]), masks).tolist() == [0.5, 0.0]


def test_crumbs_do_not_make_two_pieces() -> None:
    mask = boxes((5, 15, 5, 15))[0] > 0
    mask[0, 0] = mask[0, 19] = True
    assert in_one_piece(mask)
    mask[17:20, 17:20] = True
    assert not in_one_piece(mask)
    dust = torch.zeros(20, 20, dtype=torch.bool)
    dust[::2, ::2] = True
    assert not in_one_piece(dust)


def test_a_thing_that_the_base_sees_in_parts_is_not_taken_for_one() -> None:
    mask = boxes((0, 10, 0, 10))[0] > 0
    assert is_one_thing(mask, boxes((0, 5, 0, 10), (0, 8, 0, 10)))
    assert not is_one_thing(mask, boxes((0, 5, 0, 10), (5, 10, 0, 10)))
