"""From per-proposal scores to a label for every pixel (method.md, section 1).

The plain formula scores every word at every pixel: V x H x W sums over N masks, nearly all of them for words that
have no chance. Here the image is taken in tiles. Within one, every mask's weight keeps to a narrow range, and over
such ranges the largest value of a weighted sum is known exactly; a word that it shows to be behind another one
everywhere in the tile drops out. Most tiles are left with one word, the others with a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovss_personal.painting.blocks import Tiles
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.structures import Canvas, RGBImage

# Bytes that one array may take; bounds the memory whatever the image and the vocabulary.
STEP_BYTES = 32 * 2**20

# How much a word's best share must be beaten by to be corrected; keeps words that have next to nothing of any pixel
# from being measured at every pixel.
SCORE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class ScoredProposals:
    """What is needed to paint one image.

    Attributes:
        masks: (N, h, w) mask logits, negative masks included.
        words: (N, V) probability that a proposal is each of the open words.
        personal: (N, C) the same for each concept.
        thresholds: (C,) the share of a pixel above which a concept takes it, whatever the words say; None lets
            the concept compete in the arg max like any word.
    """

    masks: Tensor
    words: Tensor
    personal: Tensor
    thresholds: tuple[float | None, ...] = ()


def shares(scored: ScoredProposals, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mask weights sigmoid(M) (N, ...) -> open words' sums (V, ...) and concepts' shares in [0, 1] (C, ...)."""
    return torch.einsum("nv,n...->v...", scored.words, weights), concept_shares(scored, weights)


def concept_shares(scored: ScoredProposals, weights: Tensor) -> Tensor:
    """Mask weights (N, ...) -> (C, ...): Σ p·w / Σ w over the proposals.

    A concept with a threshold is measured on squared weights: what a mask is unsure of, mostly the neighbours of
    its object, counts little.
    """
    columns = []
    for probability, threshold in zip(scored.personal.T, scored.thresholds, strict=True):
        w = weights if threshold is None else weights.square()
        columns.append(torch.einsum("n,n...->...", probability, w) / w.sum(0).clamp(min=1e-6))
    return torch.stack(columns) if columns else weights[:0]


def decide(words: Tensor, personal: Tensor, total: Tensor, thresholds: Sequence[float | None]) -> Tensor:
    """Labels (...) int64 from word sums (V, ...), concept shares (C, ...) and the sum of mask weights (...)."""
    free, _ = _free_and_bound(thresholds)
    index = torch.tensor([*range(len(words)), *(len(words) + i for i in free)], device=words.device)
    # As argmax, which takes six times as long along any axis but the last.
    labels = index[torch.cat((words, personal[free] * total)).max(0).indices]
    return _claim(labels, len(words), personal, thresholds)


def _free_and_bound(thresholds: Sequence[float | None]) -> tuple[list[int], list[int]]:
    """Indices of the concepts that compete with the words, and of those that have a threshold."""
    bound = [i for i, threshold in enumerate(thresholds) if threshold is not None]
    return [i for i, threshold in enumerate(thresholds) if threshold is None], bound


def _claim(labels: Tensor, words: int, personal: Tensor, thresholds: Sequence[float | None]) -> Tensor:
    """Labels (...) with the pixels of concepts (C, ...) that are above their thresholds given to these."""
    _, bound = _free_and_bound(thresholds)
    if not bound:
        return labels
    limits = torch.tensor([thresholds[i] for i in bound], device=labels.device)
    over = personal[bound] > limits.view(-1, *[1] * labels.dim())
    # Of several concepts above their limits, the one with the largest share.
    which = torch.where(over, personal[bound], -1.0).argmax(0)
    labels_of = torch.tensor(bound, dtype=labels.dtype, device=labels.device) + words
    return torch.where(over.any(0), labels_of[which], labels)


@torch.inference_mode()
def label_map(
    scored: ScoredProposals, canvas: Canvas, image: RGBImage, words: Sequence[str], concepts: Sequence[str] = ()
) -> Segmentation:
    """Paint `image`; `words` name the columns of `scored.words`, `concepts` those of `scored.personal`.

    A pixel's label is the arg max of `shares` over the words and the concepts without a threshold, the first of
    equals, unless a concept with a threshold claims it. Scores are exact to within SCORE_TOLERANCE.
    """
    device = scored.masks.device
    free, _ = _free_and_bound(scored.thresholds)
    index = torch.tensor([*range(len(words)), *(len(words) + i for i in free)], device=device)
    columns, first, twin = _distinct(torch.cat((scored.words, scored.personal[:, free]), 1))
    tiles = Tiles(scored.masks, canvas)
    survey = _survey(tiles, columns, scored)
    owners = index[first].int()
    labels = owners[survey.leader].unsqueeze(1).repeat(1, tiles.pixels)
    _paint_words(labels, tiles, survey, columns, owners)
    _paint_concepts(labels, tiles, survey, scored)
    best = torch.cat((torch.zeros(len(words), device=device), survey.best_concepts))
    best[index] = survey.best_words[twin]
    return Segmentation(
        labels=np.ascontiguousarray(tiles.picture(labels).cpu().numpy()),
        words=(*words, *concepts),
        scores=tuple(best.clamp(max=1).tolist()),
        concepts=tuple(concepts),
        image=image,
    )


@dataclass
class _Survey:
    """What a look at the range and the middle pixel of every tile tells.

    Attributes:
        low, high: (T, N) bounds of the mask weights in a tile.
        leader: (T,) the column that has the middle pixel.
        best_words: (U,) the largest share found so far of each column.
        best_concepts: (C,) the same of each concept.
    """

    low: Tensor
    high: Tensor
    leader: Tensor
    best_words: Tensor
    best_concepts: Tensor


def _distinct(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, V) -> the U different columns (N, U) in their order, where each is first (U,), and which one each is (V,).

    Words of equal columns tie at every pixel, and a sum's last bit depends on where in a product it is taken.
    """
    _, group = torch.unique(columns, dim=1, return_inverse=True)
    order = torch.arange(len(group), device=group.device)
    first = torch.full_like(group, len(group)).scatter_reduce(0, group, order, "amin")[group]
    kept = torch.unique(first)
    return columns[:, kept], kept, torch.searchsorted(kept, first)


def _survey(tiles: Tiles, columns: Tensor, scored: ScoredProposals) -> _Survey:
    low, high, leaders = [], [], []
    best_words = columns.new_zeros(columns.shape[1])
    best_concepts = columns.new_zeros(len(scored.thresholds))
    every = torch.arange(tiles.count, device=columns.device)
    for some in _batches(every, max(tiles.values, columns.shape[1])):
        least, most, middle = tiles.survey(some)
        sums = middle @ columns
        low.append(least)
        high.append(most)
        leaders.append(sums.argmax(1))
        best_words = best_words.maximum((sums / middle.sum(1, keepdim=True).clamp(min=1e-6)).amax(0))
        best_concepts = best_concepts.maximum(concept_shares(scored, middle.T).amax(1))
    return _Survey(torch.cat(low), torch.cat(high), torch.cat(leaders), best_words, best_concepts)


def _batches(tiles: Tensor, values: int) -> Iterator[Tensor]:
    """Tiles (T,) in parts, given how many floats each of them needs at once."""
    step = max(1, STEP_BYTES // (4 * values))
    for start in range(0, len(tiles), step):
        yield tiles[start : start + step]


def can_exceed(low: Tensor, high: Tensor, form: Tensor) -> Tensor:
    """Ranges (T, N) of weights, forms (N, K) -> (T, K) bool: whether Σ form·w > 0 for some w between low and high.

    The largest value is Σ form·centre + Σ |form|·radius. All rounding in it is below (N + 8)·eps·Σ |form|·high, which
    a wider radius makes up for: where the answer is no, it is no in exact arithmetic.
    """
    margin = (low.shape[1] + 8) * torch.finfo(low.dtype).eps
    radius = (high - low) / 2 + 2 * margin * high
    return ((low + high) / 2) @ form + radius @ form.abs() > 0


def _paint_words(labels: Tensor, tiles: Tiles, survey: _Survey, columns: Tensor, owners: Tensor) -> None:
    """Correct `labels` (T, pixels) where a tile has more words than its leader, and complete the words' best shares.

    `owners` (U,) is the label of each column, rising; of equal sums the lowest label wins.
    """
    rows = columns.T.contiguous()  # (U, N)
    for some in _batches(survey.leader.argsort(), max(tiles.values, len(rows))):
        alive = _contenders(survey, columns, some)
        contested = alive.any(1)
        some, alive = some[contested], alive[contested]
        counts = alive.scatter_(1, survey.leader[some].unsqueeze(1), True).sum(1)
        for group in _alike(counts):
            most = int(counts[group].max())
            for part in _batches(group, max(tiles.values, tiles.pixels * most)):
                # A tile with fewer words than `most` is filled up with others, which do no harm.
                found = alive[part].byte().topk(most, dim=1).indices
                weights = tiles.weights(some[part])
                sums = rows[found] @ weights.mT  # (T, most, pixels)
                first = torch.where(sums == sums.amax(1, keepdim=True), owners[found].unsqueeze(2), owners[-1])
                labels[some[part]] = first.amin(1)
                best = (sums / weights.sum(2).clamp(min=1e-6).unsqueeze(1)).amax(2)
                survey.best_words.scatter_reduce_(0, found.flatten(), best.flatten(), "amax")


def _contenders(survey: _Survey, columns: Tensor, some: Tensor) -> Tensor:
    """Tiles (T,) -> (T, U) bool: the words that may beat the leader somewhere in the tile, or their own best share."""
    low, high, leaders = survey.low[some], survey.high[some], survey.leader[some]
    alive = can_exceed(low, high, columns - survey.best_words - SCORE_TOLERANCE)
    for leader in torch.unique(leaders).tolist():
        led = leaders == leader
        alive[led] |= can_exceed(low[led], high[led], columns - columns[:, leader : leader + 1])
    return alive


def _alike(counts: Tensor) -> Iterator[Tensor]:
    """Groups of indices of `counts`, none of which is more than about twice another of its group."""
    level = counts.float().log2().ceil()
    for value in torch.unique(level):
        yield (level == value).nonzero().squeeze(1)


def _paint_concepts(labels: Tensor, tiles: Tiles, survey: _Survey, scored: ScoredProposals) -> None:
    """Give `labels` (T, pixels) to concepts above their thresholds, and complete the concepts' best shares."""
    _, bound = _free_and_bound(scored.thresholds)
    if not bound:
        return
    limits = torch.tensor([scored.thresholds[i] for i in bound], device=labels.device)
    for some in _batches(torch.arange(tiles.count, device=labels.device), tiles.values):
        enough = limits.minimum(survey.best_concepts[bound] + SCORE_TOLERANCE)
        form = scored.personal[:, bound] - enough
        some = some[can_exceed(survey.low[some].square(), survey.high[some].square(), form).any(1)]
        if len(some):
            personal = concept_shares(scored, tiles.weights(some).permute(2, 0, 1))  # (C, T, pixels)
            labels[some] = _claim(labels[some], scored.words.shape[1], personal, scored.thresholds)
            survey.best_concepts = survey.best_concepts.maximum(personal.flatten(1).amax(1))
