"""The co-segmentation loss on features small enough to work by hand."""

from __future__ import annotations

import math

import pytest
import torch
from reference import cosegmentation as reference
from reference.cosegmentation import foreground_loss, parts_loss

from ovss_personal.pss.cosegmentation import Labelled, cosegmentation_loss


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None, None]  # (1, 1, n): one channel, one row


# Classes background, 1, 2 at four positions.
LOGITS = torch.log(torch.tensor([[0.1, 0.2, 0.6, 0.8], [0.7, 0.6, 0.3, 0.1], [0.2, 0.2, 0.1, 0.1]]))[:, None]
PHOTO = Labelled(row(5.0, 6.0, 0.0, 0.0), LOGITS, torch.tensor([[1, 1, 0, 255]]))


def test_the_nearest_half_of_the_most_similar_photo_is_asked_for_the_class() -> None:
    near, far = row(4.0, 5.2, 1.0, 1.0), row(50.0, 50.0, 50.0, 50.0)
    pool = torch.stack((far, near))
    logits = torch.stack((LOGITS, LOGITS)).requires_grad_()
    # Class 1 looks like 5.0, where its probability 0.7 is largest; it has 2 pixels, so 1 counts: that of 5.2.
    loss = cosegmentation_loss(PHOTO, pool, logits)
    assert loss.item() == pytest.approx(-math.log(0.6), abs=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() == 0
    assert logits.grad[1, :, 0, 1].abs().sum() > 0
    assert logits.grad[1, :, 0, [0, 2, 3]].abs().sum() == 0


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_reference_s_without_masks(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (5, 6), generator=generator)
    labels[0] = 255
    photo = Labelled(torch.randn(4, 5, 6, generator=generator), 3 * torch.randn(3, 5, 6, generator=generator), labels)
    hidden, logits = (torch.randn(3, size, 5, 6, generator=generator) for size in (4, 3))
    torch.testing.assert_close(
        cosegmentation_loss(photo, hidden, logits), reference.cosegmentation_loss(photo, hidden, logits)
    )


def test_positions_outside_the_mask_are_never_chosen() -> None:
    pool, logits = row(4.0, 5.2, 1.0, 1.0)[None], LOGITS[None]
    loss = reference.cosegmentation_loss(PHOTO, pool, logits, masks=torch.tensor([[[1, 0, 1, 1]]]))
    assert loss.item() == pytest.approx(-math.log(0.7), abs=1e-6)
    assert reference.cosegmentation_loss(PHOTO, pool, logits, masks=torch.zeros(1, 1, 4)).item() == 0


def test_labels_without_a_class_cost_nothing() -> None:
    empty = Labelled(PHOTO.hidden, PHOTO.logits, torch.zeros(1, 4, dtype=torch.long))
    assert cosegmentation_loss(empty, PHOTO.hidden[None], LOGITS[None]).item() == 0
    assert parts_loss(empty).item() == 0


def test_every_class_weighs_the_same() -> None:
    photo = Labelled(PHOTO.hidden, LOGITS, torch.tensor([[1, 1, 2, 0]]))
    expected = -((math.log(0.7) + math.log(0.6)) / 2 + math.log(0.1)) / 2
    assert parts_loss(photo).item() == pytest.approx(expected, abs=1e-6)


def test_something_must_be_there() -> None:
    mask = torch.tensor([[0, 1, 1, 0]])
    assert foreground_loss(LOGITS, mask).item() == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2, abs=1e-6)
    assert foreground_loss(LOGITS, torch.zeros(1, 4)).item() == 0
    sure = torch.tensor([[100.0], [0.0]])[:, None]
    assert foreground_loss(sure, torch.ones(1, 1)).item() == pytest.approx(-math.log(1e-6), rel=1e-3)
