"""What is painted: the scores of an image's proposals, and the plain formula that makes a label of them at one place.

`painter` gives the same labels at every pixel of an image without computing the formula there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ScoredProposals:
    """What is needed to paint one image. The rows of `words` and `personal` are the masks, then the negative ones.

    Attributes:
        masks: (N, h, w) mask logits of the proposals.
        words: (N + c, V) probability that a proposal is each of the open words.
        personal: (N + c, C) the same for each concept.
        thresholds: (C,) the share of a pixel above which a concept takes it, whatever the words say; None lets
            the concept compete in the arg max like any word.
        negatives: (c, h, w) logits of the concepts' negative masks (eq. 4), or None if there are none.
    """

    masks: Tensor
    words: Tensor
    personal: Tensor
    thresholds: tuple[float | None, ...] = ()
    negatives: Tensor | None = None

    @property
    def every_mask(self) -> Tensor:
        """(N + c, h, w)"""
        return self.masks if self.negatives is None else torch.cat((self.masks, self.negatives))

    @property
    def free(self) -> list[int]:
        """Indices of the concepts that compete with the words."""
        return [i for i, threshold in enumerate(self.thresholds) if threshold is None]

    @property
    def bound(self) -> list[int]:
        """Indices of the concepts that have a threshold."""
        return [i for i, threshold in enumerate(self.thresholds) if threshold is not None]

    def limits(self) -> Tensor:
        """(B,) the thresholds of the `bound` concepts."""
        return torch.tensor([t for t in self.thresholds if t is not None], device=self.masks.device)


def shares(scored: ScoredProposals, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mask weights sigmoid(M) (N + c, ...) -> open words' sums (V, ...) and concepts' shares in [0, 1] (C, ...)."""
    return torch.einsum("nv,n...->v...", scored.words, weights), concept_shares(scored, weights)


def concept_shares(scored: ScoredProposals, weights: Tensor) -> Tensor:
    """Mask weights (N + c, ...) -> (C, ...): Σ p·w / Σ w over the masks.

    A concept with a threshold is measured on squared weights: what a mask is unsure of, mostly the neighbours of
    its object, counts little.
    """
    columns = []
    for probability, threshold in zip(scored.personal.T, scored.thresholds, strict=True):
        w = weights if threshold is None else weights.square()
        columns.append(torch.einsum("n,n...->...", probability, w) / w.sum(0).clamp(min=1e-6))
    return torch.stack(columns) if columns else weights[:0]


def decide(scored: ScoredProposals, weights: Tensor) -> Tensor:
    """Mask weights (N + c, ...) -> labels (...) int64: words from 0, then the concepts.

    The largest sum wins, the first of equals, unless a concept with a threshold is above it.
    """
    words, personal = shares(scored, weights)
    count = len(words)
    index = torch.tensor([*range(count), *(count + i for i in scored.free)], device=weights.device)
    # As argmax, which takes six times as long along any axis but the last.
    labels = index[torch.cat((words, personal[scored.free] * weights.sum(0))).max(0).indices]
    return claim(labels, personal[scored.bound], scored.limits(), [count + i for i in scored.bound])


def claim(labels: Tensor, found: Tensor, limits: Tensor, names: Sequence[int]) -> Tensor:
    """Labels (...) with the pixels of concepts that are above their limits given to these, the largest share first.

    Args:
        labels: (...)
        found: (B, ...) shares of the concepts that have a threshold.
        limits: (B,)
        names: the labels of these concepts.
    """
    if not names:
        return labels
    over = found > limits.view(-1, *[1] * labels.dim())
    which = torch.where(over, found, -1.0).argmax(0)
    return torch.where(over.any(0), torch.tensor(names, dtype=labels.dtype, device=labels.device)[which], labels)
