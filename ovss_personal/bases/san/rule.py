"""SAN's inference rule: every proposal is one of the words or nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def class_logits(embeddings: Tensor, text: Tensor, void: Tensor, scale: float | Tensor) -> Tensor:
    """Scaled cosines. Shape: (..., N, D), (V, D), (1, D), all unit norm -> (..., N, V + 1), "nothing" last."""
    return scale * embeddings @ torch.cat((text, void)).T


def word_probabilities(embeddings: Tensor, text: Tensor, void: Tensor, scale: float) -> Tensor:
    """Softmax over the words and "nothing", of which the last column is dropped. Shape: -> (N, V)."""
    return class_logits(embeddings, text, void, scale).softmax(-1)[..., :-1]
