from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovss_personal import label_map as module
from ovss_personal.grid import mask_rows
from ovss_personal.label_map import ScoredProposals, decide, label_map, shares
from ovss_personal.structures import Canvas

ONE = Canvas((1, 1), (1, 1), (1, 1))
PIXEL = np.zeros((1, 1, 3), np.uint8)


def one_pixel(weights: list[float], words: list[list[float]], personal: list[list[float]]) -> ScoredProposals:
    """Proposals whose sigmoid(M) on the only pixel are `weights`."""
    masks = torch.tensor(weights).logit()[:, None, None]
    return ScoredProposals(masks, torch.tensor(words), torch.tensor(personal).reshape(len(weights), -1))


def test_a_word_s_sum_weighs_every_proposal_by_its_mask() -> None:
    # Word 0: 0.9 · 3/4 + 0.2 · 1/4 = 0.725. Word 1: 0.1 · 3/4 + 0.8 · 1/4 = 0.275.
    scored = one_pixel([0.75, 0.25], [[0.9, 0.1], [0.2, 0.8]], [[], []])
    words, personal = shares(scored, scored.masks.sigmoid())
    assert words.flatten().tolist() == pytest.approx([0.725, 0.275])
    assert personal.shape == (0, 1, 1)


def test_a_concept_s_share_is_relative_to_all_masks() -> None:
    # (0.6 · 0.75 + 0.2 · 0.25) / (0.75 + 0.25) = 0.5, also where the masks are half as sure. With a threshold,
    # the weights are squared: (0.6 · 9 + 0.2 · 1) / (9 + 1) = 0.56.
    scored = one_pixel([0.75, 0.25], [[1.0], [1.0]], [[0.6, 0.6], [0.2, 0.2]])
    scored = replace(scored, thresholds=(None, 0.3))
    for weights in (scored.masks.sigmoid(), scored.masks.sigmoid() / 2):
        assert shares(scored, weights)[1].flatten().tolist() == pytest.approx([0.5, 0.56])
    assert shares(scored, torch.zeros(2, 1, 1))[1].flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("words", "personal", "thresholds", "label"),
    [
        ([2.0, 3.0], [], (), 1),
        # With a threshold the words have no say: a share of 0.2 beats sums of 2 and 3, and 0.1 is too little.
        ([2.0, 3.0], [0.2], (0.15,), 2),
        ([2.0, 3.0], [0.1], (0.15,), 1),
        ([2.0, 3.0], [0.15], (0.15,), 1),
        # Without one it competes: a share of 0.7 of a total of 4 is 2.8, of 0.8 is 3.2.
        ([2.0, 3.0], [0.7], (None,), 1),
        ([2.0, 3.0], [0.8], (None,), 2),
        # Of two above their thresholds the larger share wins; one below its own does not stand in the way.
        ([2.0, 3.0], [0.3, 0.4], (0.15, 0.15), 3),
        ([2.0, 3.0], [0.3, 0.4], (0.15, 0.5), 2),
        ([2.0, 3.0], [0.3, 0.4], (0.35, 0.5), 1),
        # A concept above its threshold takes the pixel from one that competes.
        ([2.0, 3.0], [0.9, 0.2], (None, 0.15), 3),
        ([2.0, 3.0], [0.9, 0.1], (None, 0.15), 2),
    ],
)
def test_who_gets_a_pixel(
    words: list[float], personal: list[float], thresholds: tuple[float | None, ...], label: int
) -> None:
    total = torch.tensor([4.0])
    found = decide(torch.tensor(words)[:, None], torch.tensor(personal)[:, None], total, thresholds)
    assert found.tolist() == [label]


@given(seed=st.integers(0, 2**16), band=st.integers(1, 9))
def test_bands_equal_the_formula(seed: int, band: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    canvas = Canvas((9, 13), (6, 8), (8, 8))
    scored = ScoredProposals(
        masks=3 * torch.randn(5, 4, 4, generator=generator),
        words=torch.rand(5, 3, generator=generator).softmax(1),
        personal=torch.rand(5, 2, generator=generator),
        thresholds=(0.55, None),
    )
    image = np.zeros((9, 13, 3), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STEP_BYTES", band * 256 * 5 * 4)
        found = label_map(scored, canvas, image, ("a", "b", "c"), ("mine", "yours"))
    weights = mask_rows(scored.masks, canvas, 0, 9).sigmoid().double().numpy()  # (5, 9, 13)
    words = np.einsum("nv,nhw->vhw", scored.words.numpy(), weights)
    probability = scored.personal.numpy()
    mine = np.einsum("n,nhw->hw", probability[:, 0], weights**2) / (weights**2).sum(0)
    yours = np.einsum("n,nhw->hw", probability[:, 1], weights)
    expected = np.concatenate((words, yours[None])).argmax(0)
    expected[expected == 3] = 4
    expected[mine > np.float32(0.55)] = 3
    assert (found.labels == expected).mean() > 0.98  # a tie may fall either way in the last bit
    best = [*(words / weights.sum(0)).max((1, 2)), mine.max(), (yours / weights.sum(0)).max()]
    assert found.scores == pytest.approx(best, abs=1e-5)
    assert found.words == ("a", "b", "c", "mine", "yours") and found.concepts == ("mine", "yours")
    assert found.labels.dtype == np.int32 and found.labels.shape == (9, 13)


def test_a_picture_without_a_concept_and_scores_at_most_one() -> None:
    scored = one_pixel([0.5], [[1.0, 0.0]], [[]])
    found = label_map(scored, ONE, PIXEL, ("a", "b"))
    assert found.labels.tolist() == [[0]] and found.scores == (1.0, 0.0) and found.concepts == ()
