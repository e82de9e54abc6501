"""The iterations of many fits side by side. Eq. 7 falls into two sums that share no learned number.

Eq. 1 and 3 move the text embedding and W_Z: all fits step together. Eq. 5 moves W_M and its bias: it is the same for
all fits that see the same photos in the same order. All is computed on the device of what the base saw, and nothing
in a step waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adamw import adamw

from ovss_personal.personal.losses import classification_loss, negative_embedding_loss, negative_mask_loss
from ovss_personal.structures import BaseTraits


@dataclass(frozen=True, eq=False)
class ExampleTensors:
    """What the base saw in S photos, as the steps of any number of fits need it.

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
        competing: (B, S, N) logsumexp of what the personal word competes with.
    """

    def __init__(
        self,
        examples: ExampleTensors,
        open_words: Tensor,
        traits: Sequence[BaseTraits],
        *,
        text: Tensor,
        visual: Tensor,
        alpha: Sequence[float],
        lambda_z: Sequence[float],
        competing: Tensor,
        learning_rate: float,
    ):
        count, device = competing.shape[2], text.device
        self.text = text.clone().requires_grad_()
        self.weights = torch.full((len(text), count), 1 / count, device=device, requires_grad=True)  # W_Z
        self._examples, self._traits, self._competing = examples, traits[0], competing
        self.visual, self._lambda_z = visual, torch.tensor(lambda_z, device=device)
        self._alpha = torch.tensor(alpha, device=device)[:, None]
        self._scale = torch.tensor([t.logit_scale for t in traits], device=device)[:, None]
        self._void: Tensor | None = None
        if traits[0].void is not None:
            cosine = torch.stack([e @ traits[0].void[0] for e in examples.embeddings])
            self._void = self._scale[:, None] * cosine
        # All that eq. 2 and 3 ask of W_Z @ embeddings, D numbers wide, are its products with the words and itself.
        self._products = [torch.cat((e @ open_words.T, e @ e.T), 1) for e in examples.embeddings]
        self._columns = [e.T for e in examples.embeddings]
        self._words = len(open_words)
        self._fits = torch.arange(len(text), device=device)
        self._choices: dict[tuple[int, ...], _Choice] = {}
        self._adam = _Adam([self.text, self.weights], learning_rate)

    def losses(self, used: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """(B,) eq. 1 and (B,) eq. 3, each fit on its example of `used`."""
        if used not in self._choices:
            self._choices[used] = _Choice.of(used, self.text.device)
        choice = self._choices[used]
        word = F.normalize(self._alpha * self.visual + (1 - self._alpha) * self.text, dim=1)
        cosine = _ByExample.apply(word, self._columns, choice)
        personal, competing = self._scale * cosine, self._competing[self._fits, choice.places]
        mask_loss = self._examples.mask_loss[choice.places]
        if self._traits.positives == "overlap":
            positive = self._examples.overlapping[choice.places]
        else:
            positive = _matched(personal.detach(), competing, mask_loss, self._traits.cls)
        void = None if self._void is None else self._void[self._fits, choice.places]
        cls = classification_loss(personal, competing, positive, void, self._traits.no_object)
        dice_and_bce = (mask_loss * positive).sum(1) / positive.sum(1)

        products = _ByExample.apply(self.weights, self._products, choice)
        with_words, with_itself = products.split((self._words, len(self.weights[0])), 1)
        length = (self.weights * with_itself).sum(1, keepdim=True).clamp(min=1e-24).sqrt()
        with_concept = (self.weights * cosine).sum(1, keepdim=True)
        against = self._scale * torch.cat((with_words, with_concept), 1) / length
        return dice_and_bce + self._traits.cls * cls, negative_embedding_loss(against, self._words)

    def step(self, used: tuple[int, ...]) -> Tensor:
        """(B,) loss before the step."""
        seg, negative = self.losses(used)
        loss = seg + self._lambda_z * negative
        self._adam.step(loss.sum())
        return loss.detach()


class MaskSteps:
    """Eq. 5, weighted by λ_M."""

    def __init__(self, examples: ExampleTensors, lambda_m: float, learning_rate: float):
        self._examples, self._lambda_m = examples, lambda_m
        masks = examples.masks[0]
        self.weights = masks.new_zeros(len(masks), requires_grad=True)  # W_M
        self.bias = masks.new_zeros((), requires_grad=True)
        self._adam = _Adam([self.weights, self.bias], learning_rate)

    def loss(self, example: int) -> Tensor:
        """() eq. 5."""
        logits = self.weights @ self._examples.masks[example] + self.bias
        return negative_mask_loss(logits, self._examples.truth[example])

    def step(self, example: int) -> Tensor:
        """() weighted loss before the step; 0, and none is taken, where the weight is 0."""
        if not self._lambda_m:
            return torch.zeros_like(self.bias)
        loss = self._lambda_m * self.loss(example)
        self._adam.step(loss)
        return loss.detach()


class _Adam:
    """AdamW without weight decay, by torch's own function: its class imports torch's compiler, which takes a second."""

    def __init__(self, parameters: list[Tensor], learning_rate: float):
        self._parameters, self._learning_rate = parameters, learning_rate
        self._means = [torch.zeros_like(p) for p in parameters]
        self._squares = [torch.zeros_like(p) for p in parameters]
        self._steps = [torch.zeros(()) for _ in parameters]

    def step(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            adamw(
                self._parameters,
                list(gradients),
                self._means,
                self._squares,
                [],
                self._steps,
                foreach=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self._learning_rate,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )


@dataclass(frozen=True, eq=False)
class _Choice:
    """Which example each of B fits uses in an iteration.

    Attributes:
        places: (B,) int64.
        rows: of each example that is used, the fits that use it.
    """

    places: Tensor
    rows: dict[int, Tensor]

    @classmethod
    def of(cls, used: tuple[int, ...], device: torch.device) -> _Choice:
        rows = {p: [b for b, mine in enumerate(used) if mine == p] for p in set(used)}
        return cls(torch.tensor(used, device=device), {p: torch.tensor(b, device=device) for p, b in rows.items()})


class _ByExample(torch.autograd.Function):
    """Row b of x (B, n) times the constant matrix (n, m) of the example that it uses, (B, m).

    As torch.bmm would on gathered matrices, but no matrix is copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrices: Sequence[Tensor], choice: _Choice) -> Tensor:
        ctx.matrices, ctx.rows = matrices, choice.rows
        out = x.new_empty(len(x), matrices[0].shape[1])
        for example, rows in choice.rows.items():
            out[rows] = x[rows] @ matrices[example]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out = gradient.new_empty(len(gradient), len(ctx.matrices[0]))
        for example, rows in ctx.rows.items():
            out[rows] = gradient[rows] @ ctx.matrices[example].T
        return out, None, None


def _matched(personal: Tensor, competing: Tensor, mask_loss: Tensor, cls: float) -> Tensor:
    """(B, N) bool: the bipartite matching; with one ground truth it is the cheapest proposal."""
    probability = (personal - torch.logaddexp(personal, competing)).exp()
    cheapest = (mask_loss - cls * probability).argmin(1, keepdim=True)
    return torch.zeros_like(personal, dtype=torch.bool).scatter_(1, cheapest, True)
