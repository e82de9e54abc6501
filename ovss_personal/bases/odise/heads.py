"""Words against mask embeddings: the label model's head, which knows "nothing", and the caption model's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.pixel_decoder import WIDTH


class WordHead(nn.Module):
    """The caption model's: CLIP text embeddings, projected to the space of the masks."""

    def __init__(self, clip_dim: int):
        super().__init__()
        self.text_proj = nn.Linear(clip_dim, WIDTH)

    def embed(self, text: Tensor) -> Tensor:
        """(S, clip_dim) not normalised -> (S, 256) unit norm."""
        return F.normalize(self.text_proj(text), dim=-1)


class CategoryHead(WordHead):
    """The label model's: the same, and an embedding of "nothing"."""

    def __init__(self, clip_dim: int):
        super().__init__(clip_dim)
        self.null_embed = nn.Parameter(torch.zeros(1, clip_dim))

    def null(self) -> Tensor:
        """(1, 256) unit norm."""
        return self.embed(self.null_embed)


def cosine_logits(embeddings: Tensor, text: Tensor, scale: Tensor | float) -> Tensor:
    """(..., N, D), (S, D) unit norm -> (..., N, S)."""
    return scale * F.normalize(embeddings, dim=-1) @ text.T


def best_synonym(logits: Tensor, synonyms: Sequence[int]) -> Tensor:
    """(..., S) -> (..., K): the best of each class's synonyms, which stand side by side, `synonyms` of them a class."""
    return torch.stack([part.amax(-1) for part in logits.tensor_split(list(accumulate(synonyms))[:-1], -1)], -1)
