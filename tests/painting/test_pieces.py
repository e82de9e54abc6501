from __future__ import annotations

import numpy as np

from ovss_personal.painting.pieces import connected, grow


def test_grow_by_city_block_distance() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    rows, columns = np.indices((5, 5))
    assert np.array_equal(grow(mask, 2), abs(rows - 2) + abs(columns - 2) <= 2)
    assert np.array_equal(grow(mask, 0), mask) and mask.sum() == 1


def test_connected_is_side_by_side() -> None:
    mask = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]], bool)
    expected = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
    assert np.array_equal(connected(mask, 0, 0), expected)  # corners do not touch
    assert not connected(mask, 0, 2).any()
