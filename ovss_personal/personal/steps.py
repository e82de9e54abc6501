"""The iterations of many fits side by side. Eq. 7 falls into two sums that share no learned number.

Eq. 1 and 3 move the text embedding and W_Z: all fits step together. Eq. 5 moves W_M and its bias: it is the same for
all fits that see the same pictures in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.personal.losses import classification_loss, negative_embedding_loss, negative_mask_loss
from ovss_personal.structures import BaseTraits


@dataclass(frozen=True)
class Pictures:
    """What the base saw in S pictures, as the steps of any number of fits need it.

    Attributes:
        embeddings: S of (N, D), unit rows.
        masks: S of (N, P) logits at the cells that count; P differs.
        truth: S of (P,) bool.
        overlapping: (S, N) bool, the positives of the rule "overlap".
        mask_loss: (S, N), λ1 dice + λ2 bce: no gradient, but part of eq. 1 and of the matching's cost.
    """

    embeddings: Sequence[Tensor]
    masks: Sequence[Tensor]
    truth: Sequence[Tensor]
    overlapping: Tensor
    mask_loss: Tensor


class WordSteps:
    """Eq. 1 and 3 for B fits at once.

    Args:
        open_words: (V, D), of every fit.
        traits: of each fit; only the logit scale may differ.
        text: (B, D) before the first step.
        visual: (B, D) unit norm.
        alpha, lambda_z: of each fit.
        rest: (B, S, N) logsumexp of what the personal word competes with.
    """

    def __init__(
        self,
        pictures: Pictures,
        open_words: Tensor,
        traits: Sequence[BaseTraits],
        *,
        text: Tensor,
        visual: Tensor,
        alpha: Sequence[float],
        lambda_z: Sequence[float],
        rest: Tensor,
        learning_rate: float,
    ):
        count = rest.shape[2]
        self.text = text.clone().requires_grad_()
        self.weights = torch.full((len(text), count), 1 / count, requires_grad=True)  # W_Z
        self._pictures, self._traits, self._rest = pictures, traits[0], rest
        self.visual, self._alpha, self._lambda_z = visual, torch.tensor(alpha)[:, None], torch.tensor(lambda_z)
        self._scale = torch.tensor([t.logit_scale for t in traits])[:, None]
        self._void: Tensor | None = None
        if traits[0].void is not None:
            cosine = torch.stack([e @ traits[0].void[0] for e in pictures.embeddings])
            self._void = self._scale[:, None] * cosine
        # All that eq. 2 and 3 ask of W_Z @ embeddings, D numbers wide, are its products with the words and itself.
        self._products = [torch.cat((e @ open_words.T, e @ e.T), 1) for e in pictures.embeddings]
        self._columns = [e.T for e in pictures.embeddings]
        self._words = len(open_words)
        self._optimiser = torch.optim.AdamW([self.text, self.weights], learning_rate, weight_decay=0.0, foreach=False)

    def losses(self, used: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(B,) eq. 1 and (B,) eq. 3, each fit on its picture of `used`."""
        row, picture = torch.arange(len(used)), torch.tensor(used)
        word = F.normalize(self._alpha * self.visual + (1 - self._alpha) * self.text, dim=1)
        cosine = _ByPicture.apply(word, self._columns, used)
        personal, rest = self._scale * cosine, self._rest[row, picture]
        mask_loss = self._pictures.mask_loss[picture]
        if self._traits.positives == "overlap":
            positive = self._pictures.overlapping[picture]
        else:
            positive = _matched(personal.detach(), rest, mask_loss, self._traits.cls)
        void = None if self._void is None else self._void[row, picture]
        cls = classification_loss(personal, rest, positive, void, self._traits.no_object)
        dice_and_bce = (mask_loss * positive).sum(1) / positive.sum(1)

        products = _ByPicture.apply(self.weights, self._products, used)
        with_words, with_itself = products.split((self._words, len(self.weights[0])), 1)
        length = (self.weights * with_itself).sum(1, keepdim=True).clamp(min=1e-24).sqrt()
        with_concept = (self.weights * cosine).sum(1, keepdim=True)
        against = self._scale * torch.cat((with_words, with_concept), 1) / length
        return dice_and_bce + self._traits.cls * cls, negative_embedding_loss(against, self._words)

    def step(self, used: Sequence[int]) -> Tensor:
        """(B,) loss before the step."""
        seg, negative = self.losses(used)
        loss = seg + self._lambda_z * negative
        self._optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()


class MaskSteps:
    """Eq. 5, weighted by λ_M."""

    def __init__(self, pictures: Pictures, lambda_m: float, learning_rate: float):
        self._pictures, self._lambda_m = pictures, lambda_m
        self.weights = torch.zeros(len(pictures.masks[0]), requires_grad=True)  # W_M
        self.bias = torch.zeros((), requires_grad=True)
        self._optimiser = torch.optim.AdamW([self.weights, self.bias], learning_rate, weight_decay=0.0, foreach=False)

    def loss(self, picture: int) -> Tensor:
        """() eq. 5."""
        logits = self.weights @ self._pictures.masks[picture] + self.bias
        return negative_mask_loss(logits, self._pictures.truth[picture])

    def step(self, picture: int) -> Tensor:
        """() weighted loss before the step; 0, and none is taken, where the weight is 0."""
        if not self._lambda_m:
            return torch.zeros(())
        loss = self._lambda_m * self.loss(picture)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()


class _ByPicture(torch.autograd.Function):
    """Row b of x (B, n) times the constant matrix (n, m) of the picture that it uses, (B, m).

    As torch.bmm would on gathered matrices, but no matrix is copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrices: Sequence[Tensor], used: Sequence[int]) -> Tensor:
        ctx.matrices = matrices
        ctx.rows = {p: [b for b, mine in enumerate(used) if mine == p] for p in set(used)}
        out = x.new_empty(len(x), matrices[0].shape[1])
        for picture, rows in ctx.rows.items():
            out[rows] = x[rows] @ matrices[picture]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out = gradient.new_empty(len(gradient), len(ctx.matrices[0]))
        for picture, rows in ctx.rows.items():
            out[rows] = gradient[rows] @ ctx.matrices[picture].T
        return out, None, None


def _matched(personal: Tensor, rest: Tensor, mask_loss: Tensor, cls: float) -> Tensor:
    """(B, N) bool: the bipartite matching; with one ground truth it is the cheapest proposal."""
    probability = (personal - torch.logaddexp(personal, rest)).exp()
    cheapest = (mask_loss - cls * probability).argmin(1, keepdim=True)
    return torch.zeros_like(personal, dtype=torch.bool).scatter_(1, cheapest, True)
