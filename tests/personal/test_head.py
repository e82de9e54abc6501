"""Eq. 2 and 4, the personal word, the odds against competitors, and what one concept does to the others."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import pytest
import torch
import torch.nn.functional as F
from fakes import OURS
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ovss_personal.config import FitConfig
from ovss_personal.painting.painter import label_map
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.head import PersonalHead, ReadyConcept, competing_logits, score, with_negatives
from ovss_personal.structures import BaseTraits, Canvas, Proposals

PAPER = FitConfig()
HIDDEN = OURS
CANVAS = Canvas((5, 7), (5, 7), (5, 7))


def head(**changes: Tensor | float) -> PersonalHead:
    """N = 2, D = 2: text along x, visual along y."""
    plain = PersonalHead(
        text=torch.tensor([1.0, 0.0]),
        visual=torch.tensor([0.0, 1.0]),
        embedding_weights=torch.tensor([0.5, 0.5]),
        mask_weights=torch.tensor([2.0, -1.0]),
        mask_bias=torch.tensor(0.5),
        alpha=0.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def random_unit(generator: torch.Generator, *shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def random_proposals(generator: torch.Generator, count: int = 6, dim: int = 5) -> Proposals:
    masks = 4 * torch.randn(count, 3, 4, generator=generator)
    return Proposals(masks, random_unit(generator, count, dim), random_unit(generator, dim, 2, 2), CANVAS)


def random_head(generator: torch.Generator, count: int = 6, dim: int = 5) -> PersonalHead:
    return PersonalHead(
        text=torch.randn(dim, generator=generator),
        visual=random_unit(generator, dim),
        embedding_weights=torch.randn(count, generator=generator),
        mask_weights=torch.randn(count, generator=generator),
        mask_bias=torch.randn((), generator=generator),
        alpha=0.3,
    )


def softmax_rule(traits: BaseTraits) -> object:
    def rule(proposals: Proposals, text: Tensor) -> Tensor:
        rows = text if traits.void is None else torch.cat((text, traits.void))
        return (traits.logit_scale * proposals.embeddings @ rows.T).softmax(1)[:, : len(text)]

    return rule


def scored(proposals: Proposals, text: Tensor, concepts: list[ReadyConcept], traits: BaseTraits) -> ScoredProposals:
    return score(proposals, text, concepts, softmax_rule(traits), traits)  # type: ignore[arg-type]


def test_eq_2_is_the_unit_norm_mix_of_the_embeddings() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert head().negative_embedding(embeddings).tolist() == pytest.approx([1 / sqrt(2), 1 / sqrt(2)])
    # 3 · (1, 0) + 4 · (0, 1) has norm 5.
    mixed = head(embedding_weights=torch.tensor([3.0, 4.0])).negative_embedding(embeddings)
    assert mixed.tolist() == pytest.approx([0.6, 0.8])


def test_eq_4_is_a_1x1_convolution_of_the_mask_logits() -> None:
    masks = torch.tensor([[[1.0, 2.0]], [[3.0, -1.0]]])
    # 2 · 1 - 1 · 3 + 0.5 and 2 · 2 + 1 · 1 + 0.5
    assert head().negative_mask(masks).tolist() == [[-0.5, 5.5]]


def test_the_start_is_the_class_word_uniform_and_zero() -> None:
    start = PersonalHead.start(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]), 4, 0.1)
    assert start.text.tolist() == [0.0, 2.0]
    assert start.embedding_weights.tolist() == [0.25] * 4
    assert start.mask_weights.tolist() == [0.0] * 4 and start.mask_bias.item() == 0.0


@pytest.mark.parametrize(
    ("alpha", "expected"),
    # 0.25 · (0, 1) + 0.75 · (1, 0) = (0.75, 0.25), of norm √10 / 4
    [(0.0, (1.0, 0.0)), (1.0, (0.0, 1.0)), (0.25, (3 / sqrt(10), 1 / sqrt(10)))],
)
def test_alpha_is_the_share_of_the_visual_embedding(alpha: float, expected: tuple[float, float]) -> None:
    assert head(alpha=alpha).word.tolist() == pytest.approx(expected)


def test_rest_is_the_logsumexp_of_all_competitors_and_the_void_row() -> None:
    embeddings, rows = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # Scale ln 3: logits ln 3 and 0; the void row adds another 0.
    assert competing_logits(embeddings, rows, BaseTraits(log(3))).item() == pytest.approx(log(4))
    void = BaseTraits(log(3), void=torch.tensor([[0.0, 1.0]]))
    assert competing_logits(embeddings, rows, void).item() == pytest.approx(log(5))


def test_odds_against_competitors() -> None:
    # Personal word (1, 0) at scale ln 3: the proposal (1, 0) has logit ln 3, (0, 1) has 0.
    # Competitors (0, 1) and (-1, 0): e^0 + e^-ln3 = 4/3 for the first, e^ln3 + e^0 = 4 for the second.
    # p = 3 / (3 + 4/3) = 9/13, and 1 / (1 + 4) = 1/5.
    proposals = Proposals(torch.zeros(2, 1, 1), torch.eye(2), torch.zeros(2, 1, 1), Canvas((1, 1), (1, 1), (1, 1)))
    concept = ReadyConcept(head(), HIDDEN, torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    found = scored(proposals, torch.tensor([[0.0, 1.0]]), [concept], BaseTraits(log(3), threshold=0.15))
    assert found.personal[:, 0].tolist() == pytest.approx([9 / 13, 1 / 5])
    assert found.words.tolist() == [[1.0], [1.0]]  # the one open word has everything, as without the concept
    assert len(found.masks) == 2  # no negative mask
    assert found.thresholds == (0.15,)


def test_the_paper_s_rule_is_one_softmax_over_words_and_concept() -> None:
    # Scale ln 3, words (0, 1) and concept (1, 0): 3/4 to 1/4. The negative embedding (1, 1) / √2 is undecided.
    proposals = Proposals(torch.ones(2, 1, 1), torch.eye(2), torch.zeros(2, 1, 1), Canvas((1, 1), (1, 1), (1, 1)))
    concept = ReadyConcept(head(), PAPER, torch.tensor([[0.0, 1.0]]))
    found = scored(proposals, torch.tensor([[0.0, 1.0]]), [concept], BaseTraits(log(3)))
    assert found.personal[:, 0].tolist() == pytest.approx([3 / 4, 1 / 4, 1 / 2])
    assert found.words[:, 0].tolist() == pytest.approx([1 / 4, 3 / 4, 1 / 2])
    assert found.every_mask.flatten().tolist() == [1.0, 1.0, 1.5]  # the negative mask: 2 - 1 + 0.5
    assert found.thresholds == (None,)
    with_limit = scored(proposals, torch.tensor([[0.0, 1.0]]), [concept], BaseTraits(1.0, paper_threshold=0.4))
    assert with_limit.thresholds == (0.4,)


def test_without_a_negative_mask_the_paper_s_rule_keeps_the_open_masks() -> None:
    generator = torch.Generator().manual_seed(0)
    proposals = random_proposals(generator)
    plain = replace(PAPER, negative=False)
    concept = ReadyConcept(random_head(generator), plain, random_unit(generator, 3, 5))
    found = scored(proposals, random_unit(generator, 3, 5), [concept], BaseTraits(5.0))
    assert torch.equal(found.masks, proposals.masks)


@pytest.mark.parametrize("config", [PAPER, HIDDEN], ids=["paper", "hidden"])
@given(seed=st.integers(0, 2**16))
def test_the_order_of_the_proposals_changes_nothing(config: FitConfig, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    proposals, personal = random_proposals(generator), random_head(generator)
    text, traits = random_unit(generator, 3, 5), BaseTraits(5.0, void=random_unit(generator, 1, 5))
    order = torch.randperm(6, generator=generator)
    shuffled = replace(proposals, masks=proposals.masks[order], embeddings=proposals.embeddings[order])
    permuted = replace(
        personal,
        embedding_weights=personal.embedding_weights[order],
        mask_weights=personal.mask_weights[order],
    )
    image = torch.zeros(5, 7, 3, dtype=torch.uint8).numpy()
    one, two = (
        label_map(scored(p, text, [ReadyConcept(h, config, text)], traits), CANVAS, image, ("a", "b", "c"), ("mine",))
        for p, h in ((proposals, personal), (shuffled, permuted))
    )
    assert two.scores == pytest.approx(one.scores, abs=1e-5)
    assert (two.labels != one.labels).mean() < 0.03  # a tie may fall either way in the last bit


@given(seed=st.integers(0, 2**16))
def test_a_hidden_concept_leaves_the_words_as_they_were(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    proposals, text, traits = random_proposals(generator), random_unit(generator, 3, 5), BaseTraits(5.0)
    concept = ReadyConcept(random_head(generator), HIDDEN, random_unit(generator, 4, 5))
    without, along = scored(proposals, text, [], traits), scored(proposals, text, [concept], traits)
    assert torch.equal(without.words, along.words)
    image = torch.zeros(5, 7, 3, dtype=torch.uint8).numpy()
    before = label_map(without, CANVAS, image, ("a", "b", "c"))
    after = label_map(along, CANVAS, image, ("a", "b", "c"), ("mine",))
    elsewhere = ~after.mask("mine")
    assert (after.labels == before.labels)[elsewhere].all()
    assert after.scores[:3] == before.scores


@given(seed=st.integers(0, 2**16))
def test_the_paper_s_rule_leaves_the_logits_of_the_words_as_they_were(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    proposals, text, traits = random_proposals(generator), random_unit(generator, 3, 5), BaseTraits(5.0)
    concept = ReadyConcept(random_head(generator), replace(PAPER, negative=False), random_unit(generator, 4, 5))
    before = scored(proposals, text, [], traits).words.log()
    after = scored(proposals, text, [concept], traits).words.log()
    # Logits are log-probabilities up to one number a proposal, the same for all words.
    shift = after - before
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-5)
    assert (shift <= 1e-6).all()


def test_several_hidden_concepts_in_one_pass_equal_each_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    proposals, text, traits = random_proposals(generator), random_unit(generator, 3, 5), BaseTraits(5.0)
    concepts = [ReadyConcept(random_head(generator), HIDDEN, random_unit(generator, 4, 5)) for _ in range(3)]
    together = scored(proposals, text, concepts, traits)
    for column, concept in enumerate(concepts):
        alone = scored(proposals, text, [concept], traits)
        assert torch.equal(together.personal[:, column], alone.personal[:, 0])
        assert torch.equal(together.words, alone.words)


def test_hidden_and_joined_concepts_keep_their_columns() -> None:
    generator = torch.Generator().manual_seed(4)
    proposals, text, traits = random_proposals(generator), random_unit(generator, 3, 5), BaseTraits(5.0)
    rows = random_unit(generator, 4, 5)
    joined = [ReadyConcept(random_head(generator), PAPER, rows) for _ in range(2)]
    hidden = ReadyConcept(random_head(generator), replace(HIDDEN, threshold=0.3), rows)
    mixed = scored(proposals, text, [joined[0], hidden, joined[1]], traits)
    assert torch.equal(mixed.personal[:, [0, 2]], scored(proposals, text, joined, traits).personal)
    assert torch.equal(mixed.personal[:6, 1], scored(proposals, text, [hidden], traits).personal[:, 0])
    assert mixed.thresholds == (None, 0.3, None)
    assert len(with_negatives(proposals, [c.head for c in joined]).masks) == len(mixed.every_mask) == 8


def test_the_base_s_own_words_stay_behind_the_user_s() -> None:
    proposals = Proposals(torch.zeros(1, 1, 1), torch.ones(1, 1), torch.zeros(1, 1, 1), CANVAS)
    shares = torch.tensor([[0.1, 0.2, 0.3, 0.4]])  # two words, the concept, `other`
    one = PersonalHead.start(torch.ones(1), torch.ones(1), 1, 0.0)
    concept = ReadyConcept(one, replace(PAPER, negative=False), torch.ones(1, 1))
    found = score(proposals, torch.ones(2, 1), [concept], lambda _, text: shares[:, : len(text) + 1], BaseTraits(1.0))
    assert torch.equal(found.words, shares[:, [0, 1, 3]])
    assert torch.equal(found.personal, shares[:, [2]])
