from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ovss_personal.painting import blocks, painter
from ovss_personal.painting.blocks import Blocks, can_exceed
from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.painter import label_map, paint
from ovss_personal.painting.scores import ScoredProposals, concept_shares, decide, shares
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
    # Four proposals that all have the pixel whole: sums are four times the probabilities, shares are these.
    scored = ScoredProposals(
        torch.zeros(4, 1, 1), torch.tensor(words).expand(4, -1) / 4, torch.tensor(personal).expand(4, -1), thresholds
    )
    assert decide(scored, torch.ones(4, 1)).tolist() == [label]


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), at_once=st.integers(1, 9))
def test_blocks_equal_the_formula(seed: int, at_once: int) -> None:
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
        patch.setattr(blocks, "SIDE", 4)
        patch.setattr(painter, "STEP_BYTES", at_once * 4 * 4 * 5 * 4)
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


def check(scored: ScoredProposals, canvas: Canvas, side: int) -> None:
    """label_map agrees with the formula in float64 wherever float32 can tell who is ahead."""
    count, thresholds = scored.words.shape[1], scored.thresholds
    names, mine = [f"word {i}" for i in range(count)], [f"concept {i}" for i in range(len(thresholds))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SIDE", side)
        found = label_map(scored, canvas, np.zeros((*canvas.original, 3), np.uint8), names, mine)
    weights = mask_rows(scored.masks.double(), canvas, 0, canvas.original[0]).sigmoid()
    total = weights.sum(0).numpy()
    exact = replace(scored, words=scored.words.double(), personal=scored.personal.double())
    personal = concept_shares(exact, weights).numpy()
    sums = torch.einsum("nv,nhw->vhw", torch.cat((exact.words, exact.personal), 1), weights).numpy()
    # A logit is rounded relative to the largest one it was mixed from, a sum to itself (float32 ends at 1e-38)
    tolerance = 1e-5 * (1 + float(scored.masks.abs().max()) / 100)
    limits = np.array([np.inf if t is None else np.float32(t) for t in thresholds]).reshape(-1, 1, 1)
    sums[count:][limits[:, 0, 0] < np.inf] = -1
    expected = sums.argmax(0)
    sure = (sums >= sums.max(0) - tolerance * total.clip(1e-30)).sum(0) == 1
    claims = np.where(personal > limits, personal, -1)
    claimed = (claims > 0).any(0)
    if thresholds:
        expected = np.where(claimed, count + claims.argmax(0), expected)
        one = (claims >= claims.max(0) - tolerance).sum(0) == 1
        sure = np.where(claimed, one, sure) & (abs(personal - limits) > tolerance).all(0)
    assert (found.labels == expected)[sure].all()
    best = np.concatenate((sums[:count] / total.clip(1e-6), personal)).max((1, 2)).clip(max=1)
    assert found.scores == pytest.approx(best, abs=2 * tolerance + painter.SCORE_TOLERANCE)
    assert found.labels.flags.c_contiguous and found.labels.shape == canvas.original


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    proposals=st.integers(1, 12),
    words=st.integers(1, 30),
    thresholds=st.lists(st.sampled_from([None, 0.05, 0.3, 0.6]), max_size=3),
    original=sizes,
    resized=sizes,
    padding=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    scale=st.sampled_from([0.0, 0.1, 3.0, 30.0, 1000.0]),
    shift=st.sampled_from([0.0, -4.0, 6.0]),
    sharpness=st.sampled_from([0.01, 1.0, 10.0]),
    side=st.sampled_from([1, 2, 5, 16]),
)
def test_labels_and_scores_are_those_of_the_formula(
    seed: int,
    proposals: int,
    words: int,
    thresholds: list[float | None],
    original: tuple[int, int],
    resized: tuple[int, int],
    padding: tuple[int, int],
    grid: tuple[int, int],
    scale: float,
    shift: float,
    sharpness: float,
    side: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scored = ScoredProposals(
        masks=scale * torch.randn(proposals, *grid, generator=generator) + shift,
        words=(sharpness * torch.randn(proposals, words, generator=generator)).softmax(1),
        personal=torch.rand(proposals, len(thresholds), generator=generator),
        thresholds=tuple(thresholds),
    )
    padded = (resized[0] + padding[0], resized[1] + padding[1])
    check(scored, Canvas(original, resized, padded), side)


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), words=st.integers(1, 20), copies=st.integers(2, 40))
def test_of_words_that_are_equal_the_first_has_the_pixel(seed: int, words: int, copies: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    different = (3 * torch.randn(7, words, generator=generator)).softmax(1)
    order = torch.randint(words, (words * copies,), generator=generator)
    scored = ScoredProposals(4 * torch.randn(7, 5, 6, generator=generator), different[:, order], torch.empty(7, 0))
    names = [f"word {i}" for i in range(len(order))]
    found = label_map(scored, Canvas((37, 41), (37, 41), (40, 48)), np.zeros((37, 41, 3), np.uint8), names)
    first = {word: order.tolist().index(word) for word in order.tolist()}
    assert set(np.unique(found.labels)) <= set(first.values())
    assert found.scores == tuple(found.scores[first[word]] for word in order.tolist())


def test_a_free_concept_equal_to_a_word_leaves_it_the_pixel() -> None:
    scored = one_pixel([0.5, 0.9], [[0.2, 0.6], [0.1, 0.7]], [[0.6], [0.7]])
    found = label_map(replace(scored, thresholds=(None,)), ONE, PIXEL, ("a", "b"), ("mine",))
    assert found.labels.tolist() == [[1]] and found.scores[1] == found.scores[2]


def test_a_block_of_one_word_is_painted_without_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two masks, one left and one right of column 40 of 96; only the third block of six in a row has both.
    left = torch.where(torch.arange(24) < 10, 20.0, -20.0).expand(8, 24)
    words = torch.tensor([[0.5, 0.1, 0.4], [0.1, 0.6, 0.3]])
    scored, canvas = ScoredProposals(torch.stack((left, -left)), words, words[:, :0]), Canvas(*[(32, 96)] * 3)
    asked: list[int] = []
    weights = Blocks.weights

    def noted(self: Blocks, some: torch.Tensor) -> torch.Tensor:
        asked.extend(some.tolist())
        return weights(self, some)

    monkeypatch.setattr(Blocks, "weights", noted)
    found = label_map(scored, canvas, np.zeros((32, 96, 3), np.uint8), ("a", "b", "c"))
    assert (found.labels == np.repeat([0, 1], (40, 56))).all()
    assert sorted(asked) == [2, 8]
    assert found.scores == pytest.approx((0.5, 0.6, 0.4), abs=1e-5)


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16))
def test_what_a_form_can_reach_is_what_its_corners_reach(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.rand(6, 4, 2, generator=generator).sort(2).values
    form = torch.rand(4, 9, generator=generator) - 0.8
    corners = torch.cartesian_prod(*[torch.arange(2)] * 4)  # (16, 4)
    most = (ends[:, torch.arange(4), corners].double() @ form.double()).amax(1)  # (6, 9)
    found = can_exceed(ends[..., 0], ends[..., 1], form)
    assert found[most > 0].all() and not found[most < -1e-4].any()


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), original=sizes, resized=sizes, scale=st.sampled_from([1.0, 100.0]))
def test_blocks_hold_the_masks_and_their_range(
    seed: int, original: tuple[int, int], resized: tuple[int, int], scale: float
) -> None:
    masks = scale * torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(seed))
    canvas = Canvas(original, resized, (resized[0] + 3, resized[1] + 2))
    image = Blocks(masks, canvas)
    every = torch.arange(image.count)
    weights, (low, high, middle) = image.weights(every), image.survey(every)
    assert (low <= weights.amin(1)).all() and (weights.amax(1) <= high).all()
    assert torch.isclose(weights, middle.unsqueeze(1), atol=1e-5).all(2).any(1).all()
    whole = torch.stack([image.picture(weights[..., n]) for n in range(3)])
    torch.testing.assert_close(whole, mask_rows(masks, canvas, 0, original[0]).sigmoid(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("logit", [-1000.0, -10.0, 0.0, 20.0, 1000.0])
def test_masks_without_any_shape(logit: float) -> None:
    # Every pixel is the same: a sum of 0.7 against 0.6 for the second word, and for nothing at all the first word.
    scored = ScoredProposals(torch.full((2, 3, 3), logit), torch.tensor([[0.2, 0.4], [0.4, 0.3]]), torch.empty(2, 0))
    found = label_map(scored, Canvas((20, 33), (20, 33), (20, 33)), np.zeros((20, 33, 3), np.uint8), ("a", "b"))
    assert (found.labels == (0 if logit == -1000 else 1)).all()
    assert found.scores == pytest.approx((0.0, 0.0) if logit == -1000 else (0.3, 0.35), abs=1e-5)


# Many sets of scores of one image


WORDS = ("a", "b", "c", "d", "other")


def of_one_method(seed: int, masks: torch.Tensor, negative: bool, threshold: float | None) -> ScoredProposals:
    """Scores of one concept; without a negative mask and with a threshold, the words are as without the concept."""
    generator = torch.Generator().manual_seed(seed)
    count = len(masks) + negative
    own = masks.mul(torch.randn(len(masks), 1, 1, generator=generator)).sum(0, True)
    rows = (3 * torch.randn(count, len(WORDS), generator=torch.Generator().manual_seed(0))).softmax(1)
    personal = (3 * torch.randn(count, 1, generator=generator)).sigmoid()
    if threshold is None or negative:
        rows = rows * (1 - personal)
    return ScoredProposals(masks, rows, personal, (threshold,), own if negative else None)


@pytest.mark.parametrize("size", [(64, 48), (70, 83), (9, 130)])
def test_together_each_has_the_labels_and_scores_that_it_has_alone(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    knots = torch.randn(1, 12, 4, 4, generator=generator)
    masks = 6 * F.interpolate(knots, (24, 24), mode="bicubic")[0] - 2
    canvas = Canvas(size, size, size)
    image = np.zeros((*size, 3), np.uint8)
    cases = [(1, False, 0.3), (2, False, None), (3, True, 0.4), (4, True, None), (5, True, 0.4), (6, False, 0.2)]
    layers = [of_one_method(seed, masks, negative, threshold) for seed, negative, threshold in cases]
    plain = of_one_method(0, masks, False, 0.9)
    layers.append(ScoredProposals(masks, plain.words, plain.personal[:, :0]))
    both = torch.cat((layers[0].personal, layers[1].personal), 1)
    layers.append(ScoredProposals(masks, plain.words, both, (0.3, 0.2)))
    for own, found in zip(layers, paint(layers, canvas), strict=True):
        names = ["mine", "yours"][: len(own.thresholds)]
        alone = label_map(own, canvas, image, WORDS, names)
        assert not names or ((alone.labels >= len(WORDS)).any() and (alone.labels < len(WORDS)).any())
        assert (found.labels == alone.labels).mean() > 0.999  # equal but for ties in the last bit
        assert found.best.tolist() == pytest.approx(alone.scores, abs=2e-5)
    for own, found in zip(layers, paint(layers, canvas, best=False), strict=True):
        check_labels(own, canvas, found.labels)


def check_labels(scored: ScoredProposals, canvas: Canvas, labels: np.ndarray) -> None:
    """They are those of the formula, but for ties in the last bit."""
    weights = mask_rows(scored.every_mask, canvas, 0, canvas.original[0]).sigmoid()
    assert (decide(scored, weights).numpy() == labels).mean() > 0.999


def test_a_picture_is_put_together_from_its_blocks() -> None:
    image = Blocks(torch.zeros(2, 4, 4), Canvas((20, 35), (20, 35), (20, 35)))
    picture = torch.arange(32 * 48).view(32, 48)
    # Two rows of three blocks of 16 x 16; the last ones reach over the edge.
    split = torch.stack([picture[y : y + 16, x : x + 16].flatten() for y in (0, 16) for x in (0, 16, 32)])
    assert (image.picture(split) == picture[:20, :35]).all()
