from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovss_personal.pss.pixels import evaluation_size, nearest, normalised, training_crop


@given(st.integers(16, 90), st.integers(16, 90), st.integers(0, 1000))
def test_a_crop_keeps_photo_and_labels_together(height: int, width: int, seed: int) -> None:
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2] = 7
    image = np.repeat(labels[:, :, None] * 30, 3, axis=2)
    picture, truth = training_crop(np.random.default_rng(seed), image, labels, 64)
    assert picture.shape == (64, 64, 3) and truth.shape == (64, 64)
    assert set(np.unique(truth)) <= {0, 7, 255}
    inside = truth != 255
    bright = picture[..., 0] > 105
    assert (bright[inside] == (truth[inside] == 7)).mean() > 0.85  # apart from the blurred border between them


def test_without_labels_nothing_is_known() -> None:
    _, truth = training_crop(np.random.default_rng(0), np.zeros((40, 40, 3), np.uint8), None, 64)
    assert (truth == 255).all()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([(30, 40)], (480, 640)), ([(40, 30)], (640, 480)), ([(30, 30)], (480, 480)), ([(30, 40), (40, 31)], (480, 486))],
)
def test_a_batch_s_mean_shape_decides(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert evaluation_size(sizes) == expected


def test_nearest_takes_the_label_above_and_left() -> None:
    labels = np.array([[1, 2], [3, 4]], np.uint8)
    assert nearest(labels, (3, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4]]
    assert nearest(labels, (1, 1)).tolist() == [[1]]


def test_normalised_is_zero_at_the_mean_colour() -> None:
    picture = np.round(255 * np.tile([0.485, 0.456, 0.406], (4, 5, 1))).astype(np.uint8)
    batch = normalised([picture, picture])
    assert batch.shape == (2, 3, 4, 5)
    assert batch.abs().max() < 0.01
