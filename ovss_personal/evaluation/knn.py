"""Retrieval in the style of kNN-CLIP: nothing is learned, a proposal is what its nearest remembered neighbours are.

kNN-CLIP remembers DINOv2 features of training masks; here it is the base's own embeddings of the shots' proposals, so
that an image passes through nothing but the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.fit import Example
from ovss_personal.structures import Proposals

NEIGHBOURS = 10


@dataclass(frozen=True)
class Memory:
    """The proposals of K shots.

    Attributes:
        embeddings: (K N, D) unit norm.
        personal: (K N,) bool, those on the concept.
    """

    embeddings: Tensor
    personal: Tensor

    @classmethod
    def of(cls, shots: Sequence[Example]) -> Memory:
        return cls(
            torch.cat([shot.proposals.embeddings for shot in shots]), torch.cat([shot.overlapping for shot in shots])
        )

    def score(self, proposals: Proposals, words: Tensor, scale: float) -> ScoredProposals:
        """The concept gets the share of a proposal's neighbours that are personal, the words (N, V) the rest.

        Neighbours are weighted by softmax(scale · cosine); the nearest one's cosine is how far they are trusted.
        """
        cosines, nearest = (proposals.embeddings @ self.embeddings.T).topk(min(NEIGHBOURS, len(self.personal)))
        votes = ((scale * cosines).softmax(1) * self.personal[nearest]).sum(1)
        personal = votes * cosines[:, 0].clamp(0, 1)
        return ScoredProposals(proposals.masks, words * (1 - personal)[:, None], personal[:, None], (None,))
