"""The one space in which ODISE's two halves are one: trained embeddings beside those of mask-pooled CLIP.

For words that training has not seen, the ensemble is (1 - β) ln A + β ln P, and both logarithms are linear in cosines
but for a term that all words share. So with scales s of the trained half and c of CLIP's,

    S = (1 - β) s + β c,   e = [√a z, √b p],   t = [√a w, √b x],   a = (1 - β) s / S,   b = β c / S

gives S · e·t = (1 - β) s z·w + β c p·x, the ensemble's own logit, from embeddings e, t of unit norm. A personal word
is learned in this space: both halves at once, at the share of an unseen word.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.odise.ensemble import Shares
from ovss_personal.bases.odise.pixel_decoder import WIDTH


@dataclass(frozen=True)
class JointSpace:
    """The scales and shares that join the halves.

    Attributes:
        trained_scale, clip_scale: s and c.
        shares: of CLIP's half.
    """

    trained_scale: float
    clip_scale: float
    shares: Shares

    @property
    def scale(self) -> float:
        """S, the joint logit scale."""
        return (1 - self.shares.unseen) * self.trained_scale + self.shares.unseen * self.clip_scale

    @property
    def lengths(self) -> tuple[float, float]:
        """√a and √b."""
        a = (1 - self.shares.unseen) * self.trained_scale / self.scale
        return a**0.5, (1 - a) ** 0.5

    def join(self, trained: Tensor, clip: Tensor) -> Tensor:
        """(..., 256), (..., clip_dim), of any length -> (..., 256 + clip_dim) unit norm."""
        a, b = self.lengths
        return torch.cat((a * F.normalize(trained, dim=-1), b * F.normalize(clip, dim=-1)), -1)

    def logits(self, embeddings: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Joint (N, D) and (V, D) -> the logits of the trained half and of CLIP's, both (N, V)."""
        (z, p), (w, x) = (joint.tensor_split([WIDTH], dim=1) for joint in (embeddings, text))
        a, b = self.lengths
        return self.trained_scale / a**2 * z @ w.T, self.clip_scale / b**2 * p @ x.T
