from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import shot

from ovss_personal.personal.views import closer, farther, mirrored, more_views


def test_views_come_mirrored_first_and_are_no_more_than_there_are() -> None:
    shots = [shot("red", 1), shot("blue", 2)]
    assert more_views(shots, 0) == more_views(shots, -1) == []
    assert [s.name for s in more_views(shots, 3)] == ["images/1.png", "images/2.png", "images/1.png"]
    assert [s.image.shape[0] for s in more_views(shots[:1], 3)] == [32, 19, 48]
    assert len(more_views(shots[:1], 99)) == 3


@pytest.mark.parametrize("view", [mirrored, closer, farther])
def test_every_view_shows_the_object_under_its_mask(view: object) -> None:
    one = shot("red", 1, top=2, left=14)
    seen = view(one)  # type: ignore[operator]
    red = seen.image[..., 0].astype(int) - seen.image[..., 1] > 100
    if seen.ignore is not None:
        red &= ~seen.ignore
    assert np.array_equal(red, seen.mask)
    assert seen.mask.sum() == one.mask.sum()
    assert seen.image.shape[:2] == seen.mask.shape


def test_mirrored_turns_everything_that_is_there() -> None:
    ignore = np.zeros((32, 32), bool)
    ignore[0, 0] = True
    seen = mirrored(replace(shot("red", 1), ignore=ignore))
    assert seen.ignore is not None and seen.ignore[0, 31] and seen.ignore.sum() == 1


def test_closer_keeps_all_of_a_large_object() -> None:
    one = shot("red", 1, top=1, left=0, size=31)
    assert closer(one).mask.sum() == 31 * 31


def test_farther_ignores_the_mirrored_object_but_not_the_mirrored_ground() -> None:
    # The object stands on the upper edge, 12 pixels wide: its image above it is as wide, and as high as the padding.
    seen = farther(shot("red", 1, top=0, left=10, size=12))
    assert seen.ignore is not None
    assert seen.ignore[:8, 18:30].all() and seen.ignore.sum() == 8 * 12
    assert seen.mask[8:20, 18:30].all() and seen.mask.sum() == 12 * 12
