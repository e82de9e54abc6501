"""The label maps of many methods on one image, together.

What `label_map` does for one: the image in tiles, most of which one word has alone. The masks are the same for all
methods, so the range of their weights in a tile, and the weights at the pixels of a contested one, are computed once;
then every method's words, and every method's concept, are one more column of a product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ovss_personal.painting.blocks import Tiles
from ovss_personal.painting.label_map import ScoredProposals, can_exceed
from ovss_personal.structures import Canvas

STEP_FLOATS = 8 * 2**20  # that one array may hold
NEVER = -1.0  # a column that is below any word's


@dataclass(frozen=True)
class Contest:
    """How one method tells its concept from the words, on an image with N masks.

    Attributes:
        personal: (N,) or (N + 1,) probability that a proposal is the concept; the last is that of `negative`.
        words: (N or N + 1, V) the same for each word; None: they are as without the concept.
        threshold: as in `ScoredProposals`.
        negative: (h, w) logits of the negative mask, if it has one.
    """

    personal: Tensor
    words: Tensor | None
    threshold: float | None
    negative: Tensor | None = None

    @classmethod
    def of(cls, scored: ScoredProposals, count: int, plain: bool) -> Contest:
        """Of the scores of one concept among `count` proposals; `plain`: the words are as without it."""
        return cls(
            personal=scored.personal[:, 0],
            words=None if plain else scored.words,
            threshold=scored.thresholds[0],
            negative=scored.masks[count] if len(scored.masks) > count else None,
        )


@torch.inference_mode()
def paint(masks: Tensor, canvas: Canvas, words: Tensor, contests: Sequence[Contest]) -> tuple[Tiles, Tensor]:
    """The image in tiles, and labels (1 + C, tiles, pixels) int16: without a concept, then of each contest.

    A label is the index of a word, or V for the concept; it is decided as `label_map` does.

    Args:
        masks: (N, h, w) logits.
        words: (N, V) probability of each word for each proposal, without a concept.
    """
    stage = _Stage.of(masks, words, contests)
    tiles = Tiles(stage.masks, canvas)
    step = max(1, STEP_FLOATS // tiles.values)
    every = torch.arange(tiles.count)
    parts = [tiles.survey(every[start : start + step]) for start in range(0, tiles.count, step)]
    low, high, middle = (torch.cat(of_all) for of_all in zip(*parts, strict=True))
    leaders = (middle @ stage.columns.flatten(1)).view(tiles.count, *stage.columns.shape[1:]).argmax(2)  # (T, G)
    alive = torch.stack([stage.alive(group, low, high, leaders[:, group]) for group in range(stage.groups)], 1)
    counts = alive.any(1).sum(1)  # (T,) words that any method may see in the tile
    counts[(alive.sum(2) == 1).all(1)] = 0
    labels = leaders[:, stage.group_of].T.to(torch.int16).unsqueeze(2).repeat(1, 1, tiles.pixels)
    claimable = can_exceed(low.square(), high.square(), stage.claims).any(1)
    for level in torch.unique(_level(counts)).tolist():
        of_level = ((_level(counts) == level) & ((counts > 0) | claimable)).nonzero().squeeze(1)
        most = int(counts[of_level].max()) if len(of_level) else 0
        size = max(tiles.values, tiles.pixels * (len(stage.masks) + stage.groups * most + len(contests)))
        step = max(1, STEP_FLOATS // size)
        for start in range(0, len(of_level), step):
            some = of_level[start : start + step]
            weights = tiles.weights(some)  # (t, P, N)
            if most:
                found = alive[some].any(1).byte().topk(most, dim=1).indices.sort(1).values  # (t, m)
                labels[:, some] = stage.words_of(weights, found)[stage.group_of].to(torch.int16)
            if claimable[some].any():
                stage.claim(labels, some, weights)
    return tiles, labels


@dataclass(frozen=True)
class _Stage:
    """All contests over one set of masks: those of the image, then the negative ones; absent entries are 0.

    Attributes:
        masks: (M, h, w).
        columns: (M, G, V + 1) every set of words that some contest has, the last of them the concept's.
        group_of: (1 + C,) which of the G sets the image without a concept and each contest have.
        claims: (M, C) personal probability less the threshold; 0 where there is no threshold.
    """

    masks: Tensor
    columns: Tensor
    group_of: Tensor
    claims: Tensor

    @classmethod
    def of(cls, masks: Tensor, words: Tensor, contests: Sequence[Contest]) -> _Stage:
        count = len(words)
        negatives = [contest.negative for contest in contests if contest.negative is not None]
        every = torch.cat((masks, torch.stack(negatives))) if negatives else masks
        own_column = torch.full((len(every),), NEVER)
        plain = torch.cat((_rows(words, range(count), len(every)), own_column[:, None]), 1)
        groups, group_of, claims, place = [plain], [0], [], count
        for contest in contests:
            rows = [*range(count)]
            if contest.negative is not None:
                rows.append(place)
                place += 1
            bound = contest.threshold is not None
            personal = _rows(contest.personal[:, None], rows, len(every))
            if contest.words is None and bound:
                group_of.append(0)
            else:
                mine = words if contest.words is None else contest.words
                groups.append(torch.cat((_rows(mine, rows, len(every)), own_column[:, None] if bound else personal), 1))
                group_of.append(len(groups) - 1)
            limit = torch.zeros(len(every), 1)
            limit[rows] = contest.threshold or 0.0
            claims.append(personal - limit if bound else torch.zeros_like(personal))
        return cls(
            masks=every,
            columns=torch.stack(groups, 1),
            group_of=torch.tensor(group_of),
            claims=torch.cat(claims, 1) if claims else torch.zeros(len(every), 0),
        )

    @property
    def groups(self) -> int:
        return self.columns.shape[1]

    def alive(self, group: int, low: Tensor, high: Tensor, leader: Tensor) -> Tensor:
        """Ranges (T, M) and leaders (T,) -> (T, V + 1): what may be above the leader somewhere, and the leader."""
        columns = self.columns[:, group]
        alive = torch.zeros(len(low), columns.shape[1], dtype=torch.bool)
        for one in torch.unique(leader).tolist():
            led = leader == one
            alive[led] = can_exceed(low[led], high[led], columns - columns[:, one : one + 1])
        return alive.scatter_(1, leader[:, None], True)

    def words_of(self, weights: Tensor, found: Tensor) -> Tensor:
        """Weights (t, P, M), words (t, m) to choose from, rising -> (G, t, P) the one with the largest sum."""
        rows = self.columns.permute(2, 1, 0)[found]  # (t, m, G, M)
        sums = (rows.flatten(1, 2) @ weights.mT).view(*rows.shape[:3], -1)  # (t, m, G, P)
        best = sums.max(1).indices  # (t, G, P), as argmax, which is slow along this axis
        return found.gather(1, best.flatten(1)).view_as(best).transpose(0, 1)

    def claim(self, labels: Tensor, some: Tensor, weights: Tensor) -> None:
        """Give pixels of labels (1 + C, T, P) in tiles (t,) to the concepts that are above their thresholds."""
        over = (weights.square() @ self.claims > 0).permute(2, 0, 1)  # (C, t, P)
        concept = torch.tensor(self.columns.shape[2] - 1, dtype=torch.int16)
        labels[1:, some] = torch.where(over, concept, labels[1:, some])


def _rows(values: Tensor, rows: Sequence[int], count: int) -> Tensor:
    """(n, ...) values into those of `count` rows, 0 elsewhere."""
    spread = torch.zeros(count, *values.shape[1:])
    spread[list(rows)] = values
    return spread


def _level(counts: Tensor) -> Tensor:
    """Counts that are within about a factor of two of each other have one level; 0 has its own."""
    return counts.clamp(min=0.5).log2().ceil()
