"""From per-proposal scores to a label for every pixel (method.md, section 1), a band of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovss_personal.grid import mask_rows
from ovss_personal.structures import Canvas, RGBImage, Segmentation

# Bytes of mask logits held at once; bounds the memory whatever the image and the vocabulary.
BAND_BYTES = 32 * 2**20


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
    free = [i for i, t in enumerate(thresholds) if t is None]
    bound = [i for i, t in enumerate(thresholds) if t is not None]
    index = torch.tensor([*range(len(words)), *(len(words) + i for i in free)], device=words.device)
    labels = index[torch.cat((words, personal[free] * total)).argmax(0)]
    if bound:
        limits = torch.tensor([thresholds[i] for i in bound], device=words.device)
        over = personal[bound] > limits.view(-1, *[1] * (personal.dim() - 1))
        # Of several concepts above their limits, the one with the largest share.
        which = torch.where(over, personal[bound], -1.0).argmax(0)
        labels = torch.where(over.any(0), torch.tensor(bound, device=words.device)[which] + len(words), labels)
    return labels


@torch.inference_mode()
def label_map(
    scored: ScoredProposals, canvas: Canvas, image: RGBImage, words: Sequence[str], concepts: Sequence[str] = ()
) -> Segmentation:
    """Paint `image`; `words` name the columns of `scored.words`, `concepts` those of `scored.personal`."""
    height, width = canvas.original
    labels = np.empty((height, width), np.int32)
    best = torch.zeros(len(words) + len(concepts), device=scored.masks.device)
    band = max(1, BAND_BYTES // (4 * width * len(scored.masks)))
    for start in range(0, height, band):
        stop = min(start + band, height)
        weights = mask_rows(scored.masks, canvas, start, stop).sigmoid()
        total = weights.sum(0)
        open_sums, personal = shares(scored, weights)
        labels[start:stop] = decide(open_sums, personal, total, scored.thresholds).cpu().numpy()
        part = torch.cat((open_sums / total.clamp(min=1e-6), personal)).flatten(1).amax(1)
        best = torch.maximum(best, part)
    return Segmentation(
        labels=labels,
        words=(*words, *concepts),
        scores=tuple(best.clamp(max=1).tolist()),
        concepts=tuple(concepts),
        image=image,
    )
