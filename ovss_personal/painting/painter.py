"""From per-proposal scores to a label for every pixel (method.md, section 1), for one set of scores or for many.

The plain formula scores every word at every pixel: V x H x W sums over N masks, nearly all of them for words that
have no chance. Here the image is taken in blocks. Within one, every mask's weight keeps to a narrow range, and over
such ranges the largest value of a weighted sum is known exactly; a word that it shows to be behind another one
everywhere in the block drops out. Most blocks are left with one word, the others with a few.

Scores of one image, say by several methods, share its masks: their ranges, and their weights at the pixels of a
contested block, are computed once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovss_personal.painting.blocks import Blocks, can_exceed
from ovss_personal.painting.scores import ScoredProposals, claim
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.structures import Canvas, RGBImage

# Bytes that one array may take; bounds the memory whatever the image and the vocabulary.
STEP_BYTES = 32 * 2**20

# How much a word's best share must be beaten by to be corrected; keeps words that have next to nothing of any pixel
# from being measured at every pixel.
SCORE_TOLERANCE = 1e-5


def label_map(
    scored: ScoredProposals, canvas: Canvas, image: RGBImage, words: Sequence[str], concepts: Sequence[str] = ()
) -> Segmentation:
    """Paint `image`; `words` name the columns of `scored.words`, `concepts` those of `scored.personal`.

    A pixel's label is that of `scores.decide`. Scores are exact to within SCORE_TOLERANCE.
    """
    (painted,) = paint([scored], canvas)
    return Segmentation(
        labels=painted.labels,
        words=(*words, *concepts),
        scores=tuple(painted.best.clamp(max=1).tolist()),
        concepts=tuple(concepts),
        image=image,
    )


@dataclass(frozen=True, eq=False)
class Painted:
    """Labels of one image: (H, W) int32, words from 0, then the concepts; and the largest share of each, (V + C,)."""

    labels: np.ndarray[tuple[int, int], np.dtype[np.int32]]
    best: Tensor


@torch.no_grad()
def paint(layers: Sequence[ScoredProposals], canvas: Canvas, best: bool = True) -> list[Painted]:
    """The label map of each of `layers`: scores of one image, whose `masks` are the same.

    Args:
        layers: at least one.
        canvas: how the image lies under the masks' grid.
        best: whether the largest shares are wanted; without them, `Painted.best` is only a lower bound.
    """
    masks, members = _all_masks(layers)
    blocks = Blocks(masks, canvas)
    ranges = _Ranges.of(blocks)
    groups: list[_Words] = []
    group_of = [_group(groups, layer, row, ranges) for layer, row in zip(layers, members, strict=True)]
    concepts = _Concepts(layers, members, ranges.middle, blocks.pixels)
    labels = [group.start(blocks.pixels) for group in groups]
    words = max(len(group.owners) for group in groups)
    # The better the shares that were found, the fewer words may still beat theirs: so not all blocks at once for them.
    for some in _batches(groups[0].leaders.argsort(), max(words, blocks.values) if best else words):
        alive = [group.alive(ranges, some, best) for group in groups]
        counts = torch.stack([own.sum(1) for own in alive]).amax(0)  # words in a block, for whom they are most
        claimable = concepts.may_claim(ranges, some, best)
        for alike in _alike(counts, claimable):
            most, claims = int(counts[alike].max()), bool(claimable[alike[0]])
            for part in _batches(alike, max(blocks.values, blocks.pixels * most)):
                weights = blocks.weights(some[part])  # (t, P, M)
                for group, own, picture in zip(groups, alive, labels, strict=True):
                    group.paint(picture, some[part], weights, own[part], best)
                if claims:
                    concepts.paint(some[part], weights)
    return [
        concepts.over(number, blocks.picture, labels[group], groups[group].best_of_all())
        for number, group in enumerate(group_of)
    ]


def _all_masks(layers: Sequence[ScoredProposals]) -> tuple[Tensor, Tensor]:
    """Every mask of any layer (M, h, w), the common ones first; and which of them each layer has, (L, M) bool."""
    common = layers[0].masks
    negatives = [layer.negatives for layer in layers if layer.negatives is not None]
    masks = torch.cat((common, *negatives)) if negatives else common
    members = torch.zeros(len(layers), len(masks), dtype=torch.bool, device=common.device)
    members[:, : len(common)] = True
    place = len(common)
    for row, layer in zip(members, layers, strict=True):
        own = 0 if layer.negatives is None else len(layer.negatives)
        row[place : place + own] = True
        place += own
    return masks, members


def _spread(values: Tensor, member: Tensor) -> Tensor:
    """(n, K) values of a layer's own masks -> (M, K), 0 for the masks that it has not."""
    spread = values.new_zeros(len(member), values.shape[1])
    spread[member] = values
    return spread


@dataclass(frozen=True, eq=False)
class _Ranges:
    """Of every mask's weight in every block, (T, M) each: the least, the most, and that at the middle pixel."""

    low: Tensor
    high: Tensor
    middle: Tensor

    @classmethod
    def of(cls, blocks: Blocks) -> _Ranges:
        every = torch.arange(blocks.count, device=blocks.device)
        parts = [blocks.survey(some) for some in _batches(every, blocks.values)]
        low, high, middle = (torch.cat(of_all) for of_all in zip(*parts, strict=True))
        return cls(low, high, middle)


class _Words:
    """The words, and the concepts that compete with them, of the layers that agree in these.

    Attributes:
        member: (M,) bool, the masks that these layers have.
        columns: (M, U) the different ones of their columns.
        owners: (U,) the label of each, rising.
        leaders: (T,) the column that has the middle pixel of each block.
        best: (U,) the largest share of each that was found so far.
    """

    def __init__(self, columns: Tensor, names: Sequence[int], member: Tensor, middle: Tensor):
        self.given, self.member, self._weight = columns, member, member.to(columns)
        self.columns, first, self.twin = _distinct(columns)
        self.owners = torch.tensor(names, dtype=torch.int32, device=columns.device)[first]
        self._rows = self.columns.T.contiguous()  # (U, M)
        leaders, best = [], []
        for some in _batches(torch.arange(len(middle), device=middle.device), len(self.owners)):
            sums = middle[some] @ self.columns
            leaders.append(sums.argmax(1))
            best.append((sums / (middle[some] @ self._weight).clamp(min=1e-6)[:, None]).amax(0))
        self.leaders, self.best = torch.cat(leaders), torch.stack(best).amax(0)

    def best_of_all(self) -> Tensor:
        """(V + F,) the largest shares of the words and then of the free concepts."""
        return self.best[self.twin]

    def start(self, pixels: int) -> Tensor:
        """(T, pixels) int32: each block its leader's."""
        return self.owners[self.leaders].unsqueeze(1).repeat(1, pixels)

    def alive(self, ranges: _Ranges, some: Tensor, best: bool) -> Tensor:
        """Blocks (t,) -> (t, U) bool: the columns that may beat the leader somewhere in one or, if `best` is wanted,
        their own best share; and the leader, where there are any.
        """
        low, high, leaders = ranges.low[some], ranges.high[some], self.leaders[some]
        alive = torch.zeros(len(some), len(self.owners), dtype=torch.bool, device=low.device)
        if best:
            alive = can_exceed(low, high, self.columns - self._weight[:, None] * (self.best + SCORE_TOLERANCE))
        for leader in torch.unique(leaders).tolist():
            led = leaders == leader
            alive[led] |= can_exceed(low[led], high[led], self.columns - self.columns[:, leader : leader + 1])
        return alive.scatter(1, leaders.unsqueeze(1), alive.any(1, keepdim=True))

    def paint(self, labels: Tensor, some: Tensor, weights: Tensor, alive: Tensor, best: bool) -> None:
        """Correct `labels` (T, pixels) in blocks (t,) that have more words than their leader; and, if they are wanted,
        the best shares. Of equal sums the lowest label wins.
        """
        most = int(alive.sum(1).max())
        if not most:
            return
        # A block with fewer words than `most` is filled up with others, which do no harm.
        alive = alive.scatter(1, self.leaders[some].unsqueeze(1), True)
        found = alive.byte().topk(most, dim=1).indices
        sums = self._rows[found] @ weights.mT  # (t, most, P)
        ahead = sums == sums.amax(1, keepdim=True)
        labels[some] = torch.where(ahead, self.owners[found].unsqueeze(2), self.owners[-1]).amin(1)
        if best:
            total = (weights @ self._weight).clamp(min=1e-6)  # (t, P)
            share = (sums / total.unsqueeze(1)).amax(2)
            self.best.scatter_reduce_(0, found.flatten(), share.flatten(), "amax")


def _group(groups: list[_Words], layer: ScoredProposals, member: Tensor, ranges: _Ranges) -> int:
    """The place in `groups` of the words of a layer, which are added unless another layer has the same."""
    count = layer.words.shape[1]
    columns = _spread(torch.cat((layer.words, layer.personal[:, layer.free]), 1), member)
    for place, group in enumerate(groups):
        if torch.equal(group.member, member) and torch.equal(group.given, columns):
            return place
    names = [*range(count), *(count + i for i in layer.free)]
    groups.append(_Words(columns, names, member, ranges.middle))
    return len(groups) - 1


class _Concepts:
    """The K concepts that have a threshold, of all layers side by side."""

    def __init__(self, layers: Sequence[ScoredProposals], members: Tensor, middle: Tensor, pixels: int):
        self._layers = layers
        self._owner = [number for number, layer in enumerate(layers) for _ in layer.bound]  # (K,)
        if not self._owner:
            return
        spread = [_spread(layer.personal[:, layer.bound], row) for layer, row in zip(layers, members, strict=True)]
        self._personal = torch.cat(spread, 1)  # (M, K)
        self._limits = torch.cat([layer.limits() for layer in layers])
        self._member = members[self._owner].T.to(self._personal)
        # Most layers have the same masks, and so the sum of their weights in common.
        self._sums, self._sum_of = torch.unique(self._member, dim=1, return_inverse=True)
        self._best = self._measure(middle[:, None]).amax((1, 2))
        shape = (len(middle), pixels)
        self._taken = {n: torch.full(shape, -1, dtype=torch.int32, device=middle.device) for n in set(self._owner)}

    def may_claim(self, ranges: _Ranges, some: Tensor, best: bool) -> Tensor:
        """Blocks (t,) -> (t,) bool: whether a concept may be above its threshold or, if `best`, its best share."""
        if not self._owner:
            return torch.zeros(len(some), dtype=torch.bool, device=some.device)
        enough = self._limits.minimum(self._best + SCORE_TOLERANCE) if best else self._limits
        form = self._personal - self._member * enough
        return can_exceed(ranges.low[some].square(), ranges.high[some].square(), form).any(1)

    def paint(self, some: Tensor, weights: Tensor) -> None:
        """Note which pixels of blocks (t,) each layer's concepts take, and complete their best shares."""
        found = self._measure(weights)
        self._best = self._best.maximum(found.amax((1, 2)))
        for number, taken in self._taken.items():
            own, layer = self._of(number), self._layers[number]
            names = [layer.words.shape[1] + i for i in layer.bound]
            taken[some] = claim(taken[some], found[own], self._limits[own], names)

    def over(self, number: int, picture: Callable[[Tensor], Tensor], labels: Tensor, best: Tensor) -> Painted:
        """A layer's words with its concepts over them. Shape: labels (T, P), best (V + F,)."""
        layer, own = self._layers[number], self._of(number)
        count = layer.words.shape[1]
        shares = best.new_zeros(count + len(layer.thresholds))
        shares[[*range(count), *(count + i for i in layer.free)]] = best
        if own:
            shares[[count + i for i in layer.bound]] = self._best[own]
            taken = self._taken[number]
            labels = torch.where(taken >= 0, taken, labels)
        return Painted(np.ascontiguousarray(picture(labels).cpu().numpy()), shares)

    def _of(self, number: int) -> list[int]:
        return [k for k, owner in enumerate(self._owner) if owner == number]

    def _measure(self, weights: Tensor) -> Tensor:
        """Weights (t, P, M) -> (K, t, P) shares, on squared weights as `scores.concept_shares` has them."""
        squares = weights.square()
        totals = (squares @ self._sums).clamp(min=1e-6)[..., self._sum_of]
        found: Tensor = squares @ self._personal / totals
        return found.permute(2, 0, 1)


def _distinct(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(M, V) -> the U different columns (M, U) in their order, where each is first (U,), and which one each is (V,).

    Words of equal columns tie at every pixel, and a sum's last bit depends on where in a product it is taken.
    """
    _, group = torch.unique(columns, dim=1, return_inverse=True)
    order = torch.arange(len(group), device=group.device)
    first = torch.full_like(group, len(group)).scatter_reduce(0, group, order, "amin")[group]
    kept = torch.unique(first)
    return columns[:, kept], kept, torch.searchsorted(kept, first)


def _batches(blocks: Tensor, values: int) -> Iterator[Tensor]:
    """Blocks (T,) in parts, given how many floats each of them needs at once."""
    step = max(1, STEP_BYTES // (4 * values))
    for start in range(0, len(blocks), step):
        yield blocks[start : start + step]


def _alike(counts: Tensor, claimable: Tensor) -> Iterator[Tensor]:
    """Groups of blocks that have anything to paint, none with more than about twice the words of another of its group,
    and all with a concept or all without.
    """
    level = 2 * counts.clamp(min=0.5).log2().ceil() + claimable  # a block with nothing has -2
    for value in torch.unique(level[(counts > 0) | claimable]):
        yield (level == value).nonzero().squeeze(1)
