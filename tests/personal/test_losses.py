"""Eq. 1, 3 and 5, with numbers worked by hand. ln 3 is the logit of 3/4, so most logits here are 0 or ± ln 3."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch import Tensor

from ovss_personal.personal.losses import (
    bce_loss,
    classification_loss,
    dice_loss,
    negative_embedding_loss,
    negative_mask_loss,
)

LN3 = log(3)


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_eq_1_classification_without_a_void_row() -> None:
    # Positive: personal e^0 against e^0, so -ln 1/2 = ln 2. Other: -ln(1 - 3/4) = ln 4 = 2 ln 2.
    # Weighted mean: (1 · ln 2 + 0.1 · 2 ln 2) / 1.1.
    loss = classification_loss(logits(0, LN3), logits(0, 0), torch.tensor([True, False]), no_object=0.1)
    assert loss.item() == pytest.approx(1.2 / 1.1 * log(2))


def test_eq_1_classification_with_a_void_row() -> None:
    # The rest weighs 1, of which the void row has 1/2: other = -ln((1/2) / (3 + 1)) = ln 8 = 3 ln 2.
    void = logits(-log(2), -log(2))
    loss = classification_loss(logits(0, LN3), logits(0, 0), torch.tensor([True, False]), void, no_object=0.1)
    assert loss.item() == pytest.approx(1.3 / 1.1 * log(2))


def test_eq_1_classification_stays_finite_where_probabilities_are_0_or_1() -> None:
    loss = classification_loss(logits(500, -500), logits(-500, 500), torch.tensor([False, True]))
    assert loss.item() == pytest.approx(1000)  # both are wrong by a thousand nats


def test_eq_1_dice() -> None:
    target = logits(1, 1, 0, 0)
    masks = torch.tensor([[0, 0, 0, 0], [LN3, LN3, -LN3, -LN3]])
    # p = 1/2: 1 - (2 · 1 + 1) / (2 + 2 + 1) = 0.4. p = 3/4 on, 1/4 off: 1 - (2 · 3/2 + 1) / (2 + 2 + 1) = 0.2.
    assert dice_loss(masks, target).tolist() == pytest.approx([0.4, 0.2])


def test_eq_1_bce() -> None:
    masks = torch.tensor([[0, 0, 0, 0], [LN3, LN3, -LN3, -LN3], [LN3, LN3, LN3, LN3]])
    # -ln 1/2; -ln 3/4; two of each: (-ln 3/4 - ln 1/4) / 2 = ln(16/3) / 2.
    expected = [log(2), log(4 / 3), log(16 / 3) / 2]
    assert bce_loss(masks, logits(1, 1, 0, 0)).tolist() == pytest.approx(expected)


def test_eq_3_pulls_the_negative_embedding_to_all_words_but_the_personal_one() -> None:
    # e^logits = 1, 1, 2: probabilities 1/4, 1/4, 1/2. Personal is the last: -(ln 1/4 + ln 1/4) / 2 = ln 4.
    assert negative_embedding_loss(logits(0, 0, log(2)), 2).item() == pytest.approx(log(4))
    # Personal is the first: -(ln 1/4 + ln 1/2) / 2 = ln 8 / 2.
    assert negative_embedding_loss(logits(0, 0, log(2)), 0).item() == pytest.approx(log(8) / 2)


def test_eq_5_wants_the_negative_mask_where_the_object_is_not() -> None:
    masks = torch.tensor([[LN3, LN3], [LN3, 0]])
    mask = torch.tensor([[True, False], [False, False]])
    # On the object 3/4 is wrong: ln 4. Off it 3/4 is right: ln 4/3, twice. And 1/2: ln 2.
    assert negative_mask_loss(masks, mask).item() == pytest.approx((log(4) + 2 * log(4 / 3) + log(2)) / 4)
    top = torch.tensor([[True, True], [False, False]])
    assert negative_mask_loss(masks[top], mask[top]).item() == pytest.approx((log(4) + log(4 / 3)) / 2)
