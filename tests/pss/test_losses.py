"""What the goldens do not show: the intended variants, and the edges."""

from __future__ import annotations

import math

import pytest
import torch

from ovss_personal.pss import losses


def test_nothing_labelled_costs_nothing() -> None:
    logits = torch.randn(1, 21, 2, 2, requires_grad=True)
    loss = losses.segmentation_loss(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and logits.grad.abs().sum() == 0


def test_a_uniform_pixel_has_all_the_entropy() -> None:
    logits = torch.zeros(1, 21, 1, 1)
    assert losses.entropy_loss(logits).item() == pytest.approx(1)
    assert losses.image_entropy(logits).item() == pytest.approx(1 / 21)
    assert losses.robust_entropy(logits).item() == pytest.approx(1, abs=1e-6)
    assert losses.robust_entropy(logits, rule="compat").item() == pytest.approx((math.log(21) / 2.9444) ** 4, rel=1e-5)


def test_max_square_is_minus_half_where_the_network_is_sure() -> None:
    sure = torch.zeros(1, 21, 1, 1)
    sure[:, 4] = 100
    assert losses.max_square(sure).item() == pytest.approx(-0.5)
    assert losses.max_square(sure, "compat").item() == pytest.approx(-0.5 / 21)


def test_the_same_picture_has_the_same_low_frequencies() -> None:
    picture = torch.rand(3, 21, 30) * 255
    torch.testing.assert_close(losses.swap_low_frequencies(picture, picture, 0.1), picture, atol=1e-3, rtol=0)
    # With a window of one, the mean alone is the other's.
    swapped = losses.swap_low_frequencies(picture, torch.full_like(picture, 9.0), 0.0)
    assert swapped.mean().item() == pytest.approx(9, abs=1e-3)


def test_the_rate_falls_from_its_base_to_zero() -> None:
    assert losses.poly_rate(0.1, 0, 100) == 0.1
    assert losses.poly_rate(0.1, 50, 100) == pytest.approx(0.1 * 0.5**0.9)
    assert losses.poly_rate(0.1, 100, 100) == 0
