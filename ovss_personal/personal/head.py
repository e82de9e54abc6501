"""Eq. 2 and 4: the personal head, the few numbers learned per concept, and the scores they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.config import FitConfig
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.things import one_thing
from ovss_personal.structures import BaseTraits, Proposals, WordRule


@dataclass(frozen=True)
class PersonalHead:
    """What is learned of one concept: D + N + N + 1 numbers, and the visual embedding beside them.

    Attributes:
        text: (D,)  # T_per
        visual: (D,) unit norm, not learned.  # F_per
        embedding_weights: (N,)  # W_Z
        mask_weights: (N,)  # W_M
        mask_bias: ()
        alpha: share of `visual` in the personal word.
    """

    text: Tensor
    visual: Tensor
    embedding_weights: Tensor
    mask_weights: Tensor
    mask_bias: Tensor
    alpha: float

    @classmethod
    def start(cls, text: Tensor, visual: Tensor, proposals: int, alpha: float) -> PersonalHead:
        """Before the first step: the class word, uniform W_Z, zero W_M (method.md, section 2)."""
        return cls(
            text=text.clone(),
            visual=visual,
            embedding_weights=text.new_full((proposals,), 1 / proposals),
            mask_weights=text.new_zeros(proposals),
            mask_bias=text.new_zeros(()),
            alpha=alpha,
        )

    @property
    def word(self) -> Tensor:
        """(D,) unit norm: α F_per + (1 - α) T_per.  # T_vis"""
        return F.normalize(self.alpha * self.visual + (1 - self.alpha) * self.text, dim=0)

    def negative_embedding(self, embeddings: Tensor) -> Tensor:
        """Eq. 2: (N, D) -> (D,) unit norm.  # Z_neg"""
        return F.normalize(self.embedding_weights @ embeddings, dim=0)

    def negative_mask(self, masks: Tensor) -> Tensor:
        """Eq. 4: (N, h, w) -> (h, w) logits.  # M_neg"""
        return (self.mask_weights @ masks.flatten(1)).reshape(masks.shape[1:]) + self.mask_bias

    def to(self, device: torch.device) -> PersonalHead:
        """The same on a device."""
        return PersonalHead(**{name: tensor.to(device) for name, tensor in self.tensors().items()}, alpha=self.alpha)

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor, as saved."""
        return {
            "text": self.text,
            "visual": self.visual,
            "embedding_weights": self.embedding_weights,
            "mask_weights": self.mask_weights,
            "mask_bias": self.mask_bias,
        }


def competing_logits(embeddings: Tensor, competitors: Tensor, traits: BaseTraits) -> Tensor:
    """(N,) logsumexp of the logits of all that the personal word competes with.

    Shape: embeddings (N, D), competitors (C, D); the base's void row competes too.
    """
    rows = competitors if traits.void is None else torch.cat((competitors, traits.void))
    return (traits.logit_scale * embeddings @ rows.T).logsumexp(1)


def with_negatives(proposals: Proposals, heads: Sequence[PersonalHead]) -> Proposals:
    """Proposals with each head's negative mask and embedding appended: N + C."""
    if not heads:
        return proposals
    masks = torch.stack([head.negative_mask(proposals.masks) for head in heads])
    embeddings = torch.stack([head.negative_embedding(proposals.embeddings) for head in heads])
    return replace(
        proposals,
        masks=torch.cat((proposals.masks, masks)),
        embeddings=torch.cat((proposals.embeddings, embeddings)),
    )


@dataclass(frozen=True, eq=False)
class ReadyConcept:
    """A concept as inference needs it: its head, its fit's settings, and the (C, D) that it competes with."""

    head: PersonalHead
    config: FitConfig
    competitors: Tensor


def score(
    proposals: Proposals, text: Tensor, concepts: Sequence[ReadyConcept], rule: WordRule, traits: BaseTraits
) -> ScoredProposals:
    """Every proposal against every word and concept.

    Concepts without competitors join the softmax over the words, as in the paper, with their negative
    mask. The others are scored by their odds against the competitors and leave the open words as they were.

    Args:
        text: (V, D) of the open words.
        rule: the base's inference rule; its first V columns are the words.
    """
    joined = [c for c in concepts if not c.config.has_competitors]
    among = traits.among_competitors()
    augmented = with_negatives(proposals, [c.head for c in joined if c.config.negative])
    words = torch.stack([c.head.word for c in joined]) if joined else text[:0]
    probabilities = rule(augmented, torch.cat((text, words)))
    count = len(text)
    open_words = torch.cat((probabilities[:, :count], probabilities[:, count + len(joined) :]), 1)
    columns, thresholds, place = [], [], 0
    for concept in concepts:
        base = traits.threshold if concept.config.has_competitors else traits.paper_threshold
        thresholds.append(concept.config.threshold or base)
        if concept.config.has_competitors:
            logits = among.logit_scale * augmented.embeddings @ concept.head.word
            odds = logits - competing_logits(augmented.embeddings, concept.competitors, among)
            columns.append(one_thing(odds.sigmoid(), augmented.masks) if concept.config.unique else odds.sigmoid())
        else:
            columns.append(probabilities[:, count + place])
            place += 1
    personal = torch.stack(columns, 1) if columns else open_words[:, :0]
    negatives = augmented.masks[len(proposals.masks) :] if len(augmented.masks) > len(proposals.masks) else None
    return ScoredProposals(proposals.masks, open_words, personal, tuple(thresholds), negatives)
