"""Eq. 7: what one step does, by hand; the cached fit against a loop that runs the base on every iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fakes import OURS, FakeBase, shot
from torch import Tensor, nn

from ovss_personal.config import FitConfig
from ovss_personal.errors import InputError
from ovss_personal.personal.fit import Example, FitTask, Fitted, FitWords, fit, fit_all
from ovss_personal.structures import BaseTraits, BoolMask, Canvas, Proposals, Shot

LN3 = log(3)
STILL = replace(OURS, iterations=1, learning_rate=1e-12, alpha=0.0, competitors="none")
OPEN_WORDS = ("tree", "grass", "sky", "a green thing")

# By hand: a 2 x 2 image on a 2 x 2 grid, the object on its upper half, embeddings in the plane.
HALF = np.array([[True, True], [False, False]])
ON = [[LN3, LN3], [-LN3, -LN3]]  # 3/4 on the object, 1/4 off it: dice 0.2, bce ln 4/3
CORNER = [[LN3, -LN3], [-LN3, -LN3]]  # IoU exactly 1/2
EVERYTHING = [[LN3, LN3], [LN3, LN3]]  # likewise: dice 1/3


def by_hand(masks: list[list[list[float]]], embeddings: list[list[float]], mask: BoolMask = HALF) -> Example:
    canvas = Canvas((2, 2), (2, 2), (2, 2))
    return Example(Proposals(torch.tensor(masks), torch.tensor(embeddings), torch.ones(2, 2, 2), canvas), mask)


def plane_words(*open_words: tuple[float, float]) -> FitWords:
    return FitWords(torch.tensor([1.0, 0.0]), torch.tensor(open_words), torch.zeros(0, 2))


def words(base: FakeBase, config: FitConfig) -> FitWords:
    competitors = base.competitors("mug", config.competitors)
    return FitWords(base.encode(["mug"])[0], base.encode(OPEN_WORDS), competitors)


def looked(base: FakeBase, shots: list[Shot]) -> list[Example]:
    return [Example(base.propose([s.image])[0], s.mask, s.ignore) for s in shots]


def shown(examples: list[Example], words: FitWords, traits: BaseTraits, config: FitConfig) -> Fitted:
    """A fit whose negative mask is wanted, whatever reads it."""
    return fit_all([FitTask(tuple(examples), words, config, shown=True)], traits)[0]


def reds(count: int) -> list[Shot]:
    return [shot("red", i + 1, top=4 * i, left=8 - 4 * (i % 2)) for i in range(count)]


@pytest.mark.parametrize(
    ("positives", "cls"),
    [
        # Both masks are the same. Matched is the second alone, whose class costs less: -ln 3/4 on it and, as "no
        # object", ln 4/3 at weight 0.1 on the first.
        ("bipartite", log(4 / 3)),
        # Both overlap the object: -ln 1/4 on the first, -ln 3/4 on the second.
        ("overlap", (log(4) + log(4 / 3)) / 2),
    ],
)
def test_eq_1_for_either_rule_of_what_is_positive(positives: str, cls: float) -> None:
    traits = BaseTraits(LN3, positives=positives)  # type: ignore[arg-type]
    one = by_hand([ON, ON], [[0.0, 1.0], [1.0, 0.0]])
    losses = fit([one], plane_words((0.0, 1.0)), traits, STILL)[1]
    assert losses["seg"] == pytest.approx(5 * 0.2 + 5 * log(4 / 3) + 2 * cls, rel=1e-5)


def test_matching_weighs_masks_against_class() -> None:
    # The first has the better mask (5 · (0.2 + 0.288) = 2.44 against 5 · (1/3 + 0.562) = 4.48), the second the better
    # class (2 · 3/4 against 2 · 1/4). Masks decide, by a unit: cost 1.94 to 2.98.
    one = by_hand([ON, CORNER], [[0.0, 1.0], [1.0, 0.0]])
    losses = fit([one], plane_words((0.0, 1.0)), BaseTraits(LN3), STILL)[1]
    cls = (log(4) + 0.1 * log(4)) / 1.1
    assert losses["seg"] == pytest.approx(1 + 5 * log(4 / 3) + 2 * cls, rel=1e-5)
    # With λ3 = 6 the class decides: 2.44 - 1.5 against 4.48 - 4.5.
    losses = fit([one], plane_words((0.0, 1.0)), BaseTraits(LN3, cls=6.0), STILL)[1]
    bce = (3 * log(4 / 3) + log(4)) / 4
    assert losses["seg"] == pytest.approx(5 / 3 + 5 * bce + 6 * log(4 / 3), rel=1e-5)


def test_overlap_takes_whole_and_large_part_and_always_the_best() -> None:
    traits = BaseTraits(LN3, positives="overlap")
    # IoU 1 and 1/2, half of the second off the object: no positive. Alone, it is the best there is.
    both = by_hand([ON, EVERYTHING], [[1.0, 0.0], [1.0, 0.0]])
    losses = fit([both], plane_words((0.0, 1.0)), traits, STILL)[1]
    cls = (log(4 / 3) + 0.1 * log(4)) / 1.1
    assert losses["seg"] == pytest.approx(1 + 5 * log(4 / 3) + 2 * cls, rel=1e-5)
    alone = by_hand([EVERYTHING], [[1.0, 0.0]])
    losses = fit([alone], plane_words((0.0, 1.0)), traits, STILL)[1]
    bce = (log(4 / 3) + log(4)) / 2
    assert losses["seg"] == pytest.approx(5 / 3 + 5 * bce + 2 * log(4 / 3), rel=1e-5)
    # IoU 1/2 too, but all of it on the object.
    part = by_hand([ON, CORNER], [[1.0, 0.0], [1.0, 0.0]])
    losses = fit([part], plane_words((0.0, 1.0)), traits, STILL)[1]
    corner = 5 / 3 + 5 * (3 * log(4 / 3) + log(4)) / 4
    assert losses["seg"] == pytest.approx((1 + 5 * log(4 / 3) + corner) / 2 + 2 * log(4 / 3), rel=1e-5)


@pytest.mark.parametrize(("lambda_z", "up"), [(0.0, True), (1.9, True), (2.1, False)])
def test_eq_7_weighs_the_negative_embedding_s_loss(lambda_z: float, up: bool) -> None:
    # One proposal along y; T_per along x, the only word along -x; all logits are 0. Along y, λ3 · cls of eq. 1 pulls
    # T_per with -2 · (1 - 1/2) = -1, eq. 3 pushes it with λ_Z · 1/2. They balance at λ_Z = 2. AdamW's first step is
    # the learning rate in the gradient's direction.
    config = replace(STILL, learning_rate=0.01, lambda_z=lambda_z)
    head, _ = fit([by_hand([ON], [[0.0, 1.0]])], plane_words((-1.0, 0.0)), BaseTraits(1.0), config)
    assert head.text.tolist() == pytest.approx([1.0, 0.01 if up else -0.01], abs=1e-5)


@pytest.mark.parametrize(("lambda_m", "bias"), [(0.0, 0.0), (10.0, 0.01)])
def test_eq_7_weighs_the_negative_mask_s_loss(lambda_m: float, bias: float) -> None:
    # The object takes a quarter, so at zero logits the negative mask is to rise: by one learning rate.
    quarter = np.array([[True, False], [False, False]])
    config = replace(STILL, learning_rate=0.01, lambda_m=lambda_m)
    shot_ = by_hand([CORNER], [[0.0, 1.0]], quarter)
    head, losses = shown([shot_], plane_words((-1.0, 0.0)), BaseTraits(1.0), config)
    assert head.mask_bias.item() == pytest.approx(bias, abs=1e-6)
    assert losses["neg_mask"] == pytest.approx(log(2), abs=0.01)


def paper_loss(base: FakeBase, proposals: Proposals, target: Tensor, words: FitWords, head: NaiveHead) -> Tensor:
    """Eq. 1 as SAN has it: V + 2 classes, the one matched proposal is the concept, every other "no object"."""
    s, void = base.traits.logit_scale, base.traits.void
    assert void is not None
    logits = s * proposals.embeddings @ torch.cat((words.open, words.competitors, head.word[None], void)).T
    personal, nothing = logits.shape[1] - 2, logits.shape[1] - 1
    dice, bce = mask_terms(proposals.masks, target)
    cost = 5 * dice + 5 * bce - 2 * logits.softmax(1)[:, personal]
    matched = int(cost.argmin())
    classes = torch.full((len(logits),), nothing)
    classes[matched] = personal
    weight = torch.ones(logits.shape[1])
    weight[nothing] = 0.1
    return 5 * dice[matched] + 5 * bce[matched] + 2 * F.cross_entropy(logits, classes, weight)


def overlap_loss(base: FakeBase, proposals: Proposals, target: Tensor, words: FitWords, head: NaiveHead) -> Tensor:
    """Every proposal on the object is the concept; of the others, anything but it."""
    logits = (
        base.traits.logit_scale * proposals.embeddings @ torch.cat((words.open, words.competitors, head.word[None])).T
    )
    p = logits.double().softmax(1)[:, -1]
    hard, truth = proposals.masks > 0, target.bool()
    iou = (hard & truth).sum((1, 2)) / (hard | truth).sum((1, 2))
    positive = (iou > 0.5) | (torch.arange(len(iou)) == iou.argmax())
    dice, bce = mask_terms(proposals.masks, target)
    cls = (-p[positive].log().sum() - 0.1 * (1 - p[~positive]).log().sum()) / (positive.sum() + 0.1 * (~positive).sum())
    return (5 * dice + 5 * bce)[positive].mean() + 2 * cls.float()


def mask_terms(masks: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    p = masks.sigmoid()
    dice = 1 - (2 * (p * target).sum((1, 2)) + 1) / (p.sum((1, 2)) + target.sum() + 1)
    bce = F.binary_cross_entropy(p, target.expand_as(p), reduction="none").mean((1, 2))
    return dice, bce


class NaiveHead(nn.Module):
    """Section 2 of the method with torch's own layers."""

    def __init__(self, text: Tensor, visual: Tensor, count: int, alpha: float) -> None:
        super().__init__()
        self.text, self.visual, self.alpha = nn.Parameter(text.clone()[None]), visual, alpha
        self.w_z = nn.Linear(count, 1, bias=False)
        self.w_m = nn.Conv2d(count, 1, 1)
        nn.init.constant_(self.w_z.weight, 1 / count)
        nn.init.zeros_(self.w_m.weight)
        nn.init.zeros_(self.w_m.bias)  # type: ignore[arg-type]

    @property
    def word(self) -> Tensor:
        mixed = self.alpha * self.visual + (1 - self.alpha) * self.text[0]
        return mixed / mixed.norm()


def naive_fit(base: FakeBase, shots: list[Shot], words: FitWords, config: FitConfig, seg_loss: Callable) -> NaiveHead:
    """The method as it reads: the base looks at the photo anew on every iteration, nothing is kept."""
    means = []
    for one in shots:
        inside = F.avg_pool2d(torch.from_numpy(one.mask)[None].float(), 8)[0] >= 0.5  # 32 pixels to 4 cells
        features = base.propose([one.image])[0].features
        means.append(features[:, inside].mean(1) - base.traits.contrast * features[:, ~inside].mean(1))
    visual = torch.stack(means).mean(0)
    head = NaiveHead(words.concept, visual / visual.norm(), base.num_proposals, config.alpha)
    optimiser = torch.optim.AdamW(head.parameters(), config.learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(config.seed)
    epochs = -(-config.iterations // len(shots))
    order = [i for _ in range(epochs) for i in reversed(torch.randperm(len(shots), generator=generator).tolist())]
    for step in range(config.iterations):
        one = shots[order[step]]
        proposals = base.propose([one.image])[0]
        proposals = replace(proposals, masks=proposals.masks.clone(), embeddings=proposals.embeddings.clone())
        target = (F.avg_pool2d(torch.from_numpy(one.mask)[None].float(), 4)[0] >= 0.5).float()  # 32 to 8
        z_neg = F.normalize(head.w_z(proposals.embeddings.T)[:, 0], dim=0)
        distribution = (base.traits.logit_scale * torch.cat((words.open, head.word[None])) @ z_neg).softmax(0)
        uniform = torch.full((len(words.open),), 1 / len(words.open))
        eq_3 = -(uniform * distribution[:-1].log()).sum()
        eq_5 = F.binary_cross_entropy(head.w_m(proposals.masks[None])[0, 0].sigmoid(), 1 - target)
        loss = seg_loss(base, proposals, target, words, head) + config.lambda_z * eq_3 + config.lambda_m * eq_5
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("rule", ["paper", "overlap"])
def test_the_fit_equals_a_loop_that_runs_the_base_on_every_iteration(rule: str, count: int) -> None:
    if rule == "paper":
        void = F.normalize(torch.arange(32.0) - 9, dim=0)[None]
        base = FakeBase(traits=BaseTraits(logit_scale=10.0, void=void, positives="bipartite"))
        config, seg_loss = FitConfig(), paper_loss
    else:
        base = FakeBase(traits=BaseTraits(logit_scale=10.0, positives="overlap", contrast=1.0))
        config, seg_loss = OURS, overlap_loss
    config = replace(config, iterations=60, learning_rate=2e-3, seed=5)
    shots, given = reds(count), words(base, config)
    head, _ = shown(looked(base, shots), given, base.traits, config)
    assert base.looks == count
    naive = naive_fit(base, shots, given, config, seg_loss)
    assert torch.allclose(head.text, naive.text[0], atol=1e-4)
    assert torch.allclose(head.visual, naive.visual, atol=1e-6)
    assert torch.allclose(head.embedding_weights, naive.w_z.weight[0], atol=1e-4)
    assert torch.allclose(head.mask_weights, naive.w_m.weight.flatten(), atol=1e-4)
    assert torch.allclose(head.mask_bias, naive.w_m.bias[0], atol=1e-4)  # type: ignore[index]
    assert (head.text - given.concept).norm() > 0.02  # it did go somewhere


def test_the_matching_follows_what_is_learned() -> None:
    # Two masks alike; the first is nearer to the class word, the second to what the visual embedding makes of it.
    embeddings = F.normalize(torch.tensor([[1.0, 0.6], [0.6, 1.0]]), dim=1).tolist()
    one = by_hand([ON, ON], embeddings)
    traits, opposite = BaseTraits(5.0), plane_words((-1.0, 0.0))
    for alpha, matched in ((0.0, 0), (1.0, 1)):
        visual = replace(one.proposals, features=torch.tensor([0.0, 1.0])[:, None, None].expand(2, 2, 2))
        config = replace(STILL, alpha=alpha)
        head, losses = fit([replace(one, proposals=visual)], opposite, traits, config)
        personal = 5 * torch.tensor(embeddings) @ head.word
        rest = 5 * torch.tensor(embeddings) @ opposite.open[0]
        p = (personal - rest).sigmoid()
        cls = -(p[matched].log() + 0.1 * (1 - p[1 - matched]).log()) / 1.1
        assert losses["seg"] == pytest.approx(1 + 5 * log(4 / 3) + 2 * cls.item(), rel=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    base = FakeBase()
    seen = looked(base, reds(3))

    def learned(seed: int) -> list[bytes]:
        config = replace(OURS, iterations=7, learning_rate=5e-3, seed=seed)
        head, _ = fit(seen, words(base, config), base.traits, config)
        return [tensor.numpy().tobytes() for tensor in head.tensors().values()]

    assert learned(0) == learned(0)
    assert learned(0) != learned(1)  # the order of the shots


def test_only_the_head_learns() -> None:
    base = FakeBase()
    config = replace(OURS, iterations=3)
    given = words(base, config)
    seen = looked(base, reds(2))
    before = [seen[0].proposals.masks.clone(), seen[0].proposals.embeddings.clone(), given.concept.clone()]
    head, _ = fit(seen, given, base.traits, config)
    assert base.projection.grad is None
    assert not any(tensor.requires_grad for tensor in head.tensors().values())
    after = [seen[0].proposals.masks, seen[0].proposals.embeddings, given.concept]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_at_its_ends(alpha: float) -> None:
    base = FakeBase()
    config = replace(OURS, iterations=5, alpha=alpha)
    head, losses = fit(looked(base, reds(1)), words(base, config), base.traits, config)
    given = base.encode(["mug"])[0]
    # With α = 1 nothing that is learned can move the personal word.
    assert torch.equal(head.text, given) == (alpha == 1)
    assert torch.allclose(head.word, head.visual if alpha == 1 else F.normalize(head.text, dim=0), atol=1e-6)
    assert all(np.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize(("visual", "alpha"), [("inject", 0.3), ("none", 0.0), ("replace", 1.0)])
def test_the_visual_modes_are_settings_of_alpha(visual: str, alpha: float) -> None:
    base = FakeBase()
    config = replace(OURS, alpha=0.3, iterations=1, visual=visual)  # type: ignore[arg-type]
    assert fit(looked(base, reds(1)), words(base, config), base.traits, config)[0].alpha == alpha


@pytest.mark.parametrize("contrast", [0.0, 1.0])
@pytest.mark.parametrize("positives", ["bipartite", "overlap"])
@pytest.mark.parametrize("kind", ["full", "tiny", "all else ignored", "all ignored"])
def test_odd_masks_give_finite_numbers(kind: str, positives: str, contrast: float) -> None:
    base = FakeBase(traits=BaseTraits(10.0, positives=positives, contrast=contrast))  # type: ignore[arg-type]
    one = shot("red", 1)
    if kind == "full":
        one = replace(one, mask=np.ones_like(one.mask))
    elif kind == "tiny":
        one = replace(one, mask=np.pad(np.ones((1, 1), bool), (9, 22)))
    else:
        one = replace(one, ignore=~one.mask if kind == "all else ignored" else np.ones_like(one.mask))
    config = replace(OURS, iterations=5)
    head, losses = fit(looked(base, [one]), words(base, config), base.traits, config)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in head.tensors().values())
    assert all(np.isfinite(loss) for loss in losses.values())


def test_what_is_ignored_does_not_count() -> None:
    # The negative mask is asked for a 1 off the object; with all of that ignored, only for a 0 on it.
    base = FakeBase()
    one = shot("red", 1)
    config = replace(OURS, iterations=30, learning_rate=0.05)
    given = words(base, config)
    head, _ = shown(looked(base, [replace(one, ignore=~one.mask)]), given, base.traits, config)
    (seen,) = looked(base, [one])
    assert (head.negative_mask(seen.proposals.masks) < 0).all()


def test_a_loss_that_is_not_finite_names_the_iteration() -> None:
    base = FakeBase()
    (seen,) = looked(base, reds(1))
    broken = replace(seen.proposals, embeddings=torch.full_like(seen.proposals.embeddings, torch.nan))
    config = replace(OURS, iterations=9)
    with pytest.raises(InputError, match="not finite at iteration 1 of 9") as caught:
        fit([replace(seen, proposals=broken)], words(base, config), base.traits, config)
    assert caught.value.exit_code == 3


def test_progress_is_told_of_every_iteration() -> None:
    base = FakeBase()
    told: list[tuple[int, int, str]] = []
    config = replace(OURS, iterations=3)
    fit(looked(base, reds(1)), words(base, config), base.traits, config, lambda *step: told.append(step))
    assert told == [(1, 3, "fit"), (2, 3, "fit"), (3, 3, "fit")]


def test_a_fit_finds_its_object() -> None:
    base = FakeBase()
    config, given = base.fit_defaults, words(base, base.fit_defaults)
    seen = looked(base, reds(3))
    before = shown(seen, given, base.traits, replace(config, iterations=1, learning_rate=1e-12))[1]
    head, after = shown(seen, given, base.traits, config)
    embeddings = base.propose([shot("red", 9).image])[0].embeddings
    assert (embeddings @ head.word).argmax() == 0  # the red proposal
    assert set(before) == set(after) == {"seg", "neg_embedding", "neg_mask"}
    assert after["seg"] < before["seg"] and after["neg_mask"] < before["neg_mask"]


def test_the_negative_mask_s_weight_changes_nothing_else() -> None:
    base = FakeBase()
    config = replace(OURS, iterations=20)
    seen, vocabulary = looked(base, reds(3)), words(base, config)
    whole = shown(seen, vocabulary, base.traits, config)[0]
    without = shown(seen, vocabulary, base.traits, replace(config, lambda_m=0.0))[0]
    assert torch.equal(whole.text, without.text) and torch.equal(whole.embedding_weights, without.embedding_weights)
    assert whole.mask_weights.any() and not without.mask_weights.any()
