from __future__ import annotations

import numpy as np
import pytest

from ovss_personal.pss.scores import Tally


def test_published_and_clean_scores_by_hand() -> None:
    tally = Tally()
    # 2 of 3 foreground pixels right, one of them of the wrong class; the last pixel does not count.
    tally.add("a", np.array([[1, 1, 2, 0, 255]]), np.array([[1, 0, 1, 0, 3]]))
    tally.add("b", np.zeros((1, 4), int), np.zeros((1, 4), int))
    scores = tally.scores()
    assert scores.photo_iou == {"a": pytest.approx(1 / 4), "b": 0.0}  # 255 is in the published union
    assert scores.fiou == pytest.approx(1 / 8)
    assert scores.clean_fiou == pytest.approx(1 / 3)  # b has no foreground and is left out
    # Background 5 of 6, class 1: 1 of 3, class 2: 0 of 1.
    assert scores.class_iou[:3] == pytest.approx((5 / 6, 1 / 3, 0))
    assert scores.miou == pytest.approx((5 / 6 + 1 / 3) / 21)
    assert scores.clean_miou == pytest.approx((5 / 6 + 1 / 3) / 3)


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="no photo"):
        Tally().scores()
    tally = Tally()
    tally.add("a", np.full((2, 2), 255), np.zeros((2, 2), int))
    assert tally.scores().clean_fiou is None
    assert tally.scores().clean_miou is None
