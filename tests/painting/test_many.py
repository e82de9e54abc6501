"""Many methods painted together give each the labels that `label_map` gives it alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ovss_personal.painting.label_map import ScoredProposals, label_map
from ovss_personal.painting.many import Contest, paint
from ovss_personal.structures import Canvas

WORDS = ("a", "b", "c", "d", "other")


def scored(seed: int, masks: torch.Tensor, negative: bool, threshold: float | None) -> ScoredProposals:
    """Scores of one concept; the words of the seed 0 are those without a concept."""
    generator = torch.Generator().manual_seed(seed)
    if negative:
        masks = torch.cat((masks, masks.mul(torch.randn(len(masks), 1, 1, generator=generator)).sum(0, True)))
    rows = (3 * torch.randn(len(masks), len(WORDS), generator=torch.Generator().manual_seed(0))).softmax(1)
    personal = (3 * torch.randn(len(masks), 1, generator=generator)).sigmoid()
    if threshold is None or negative:
        rows = rows * (1 - personal)
    return ScoredProposals(masks, rows, personal, (threshold,))


@pytest.mark.parametrize("size", [(64, 48), (70, 83), (9, 130)])
def test_labels_are_those_of_each_alone(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    knots = torch.randn(1, 12, 4, 4, generator=generator)
    masks = 6 * F.interpolate(knots, (24, 24), mode="bicubic")[0] - 2
    canvas = Canvas(size, size, size)
    image = np.zeros((*size, 3), np.uint8)
    cases = [(1, False, 0.3), (2, False, None), (3, True, 0.4), (4, True, None), (5, True, 0.4)]
    scores = [scored(seed, masks, negative, threshold) for seed, negative, threshold in cases]
    plain = scored(0, masks, False, 0.9)
    contests = [
        Contest.of(s, 12, plain=not case[1] and case[2] is not None) for s, case in zip(scores, cases, strict=True)
    ]
    tiles, labels = paint(masks, canvas, plain.words, contests)
    assert (tiles.picture(labels[0]).numpy() < len(WORDS)).all()
    for own, found in zip(scores, labels[1:], strict=True):
        expected = label_map(own, canvas, image, WORDS, ["mine"]).labels
        assert (expected == len(WORDS)).any() and (expected < len(WORDS)).any()
        assert (tiles.picture(found).numpy() == expected).mean() > 0.999  # equal but for ties in the last bit
    alone = ScoredProposals(masks, plain.words, plain.personal[:, :0])
    assert (tiles.picture(labels[0]).numpy() == label_map(alone, canvas, image, WORDS).labels).all()


def test_a_picture_is_put_together_from_its_tiles() -> None:
    masks = torch.zeros(2, 4, 4)
    tiles, _ = paint(masks, Canvas((20, 35), (20, 35), (20, 35)), torch.ones(2, 3) / 3, [])
    picture = torch.arange(32 * 48).view(32, 48)
    # Two rows of three tiles of 16 x 16; the last ones reach over the edge.
    split = torch.stack([picture[y : y + 16, x : x + 16].flatten() for y in (0, 16) for x in (0, 16, 32)])
    assert (tiles.picture(split) == picture[:20, :35]).all()
