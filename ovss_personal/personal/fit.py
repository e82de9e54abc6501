"""Eq. 7: the iterations on what the base saw in the K shots. No image passes through the base here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ovss_personal.config import FitConfig
from ovss_personal.errors import InputError
from ovss_personal.grid import to_grid
from ovss_personal.personal.head import PersonalHead, rest_logits
from ovss_personal.personal.losses import (
    bce_loss,
    classification_loss,
    dice_loss,
    negative_embedding_loss,
    negative_mask_loss,
)
from ovss_personal.personal.visual import visual_embedding
from ovss_personal.structures import BaseTraits, BoolMask, Proposals

Progress = Callable[[int, int, str], None]  # done, total, stage


@dataclass(frozen=True)
class FitShot:
    """What the base saw in one shot, its mask at the image's size, and where the mask says not to count.

    What a fit makes of it is made once, however many fits it takes part in.
    """

    proposals: Proposals
    mask: BoolMask
    ignore: BoolMask | None = None

    @cached_property
    def on_grid(self) -> tuple[Tensor, Tensor | None]:
        """The mask and the cells that count (None: all), both (h, w) bool on the proposals' grid.

        A cell of the object counts, whatever else in it is to be ignored.
        """
        canvas, size = self.proposals.canvas, (self.proposals.masks.shape[1], self.proposals.masks.shape[2])
        mask = to_grid(self.mask, canvas, size)
        return mask, None if self.ignore is None else mask | ~to_grid(self.ignore, canvas, size)

    @cached_property
    def _counting(self) -> tuple[Tensor, Tensor]:
        """Mask logits (N, P) and the truth (P,) bool, at the P cells that count."""
        mask, valid = self.on_grid
        keep = slice(None) if valid is None else valid.flatten()
        return self.proposals.masks.flatten(1)[:, keep], mask.flatten()[keep]

    @cached_property
    def overlapping(self) -> Tensor:
        """(N,) bool, the positives of the rule "overlap"."""
        logits, target = self._counting
        return _overlapping(logits > 0, target)

    @cached_property
    def mask_losses(self) -> tuple[Tensor, Tensor]:
        """(N,) dice and (N,) bce of each proposal."""
        logits, target = self._counting
        return dice_loss(logits, target.float()), bce_loss(logits, target.float())


@dataclass(frozen=True)
class Words:
    """The words of a fit: (D,) of the class name, (V, D) of the open words, (C, D) of the hidden competitors."""

    concept: Tensor
    open: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class _Prepared:
    """A shot with everything that stays constant through the fit computed once."""

    masks: Tensor  # (N, h, w)
    embeddings: Tensor  # (N, D)
    mask: Tensor  # (h, w) bool
    valid: Tensor | None  # (h, w) bool
    overlapping: Tensor  # (N,) bool, the positives of the rule "overlap"
    rest: Tensor  # (N,)
    void: Tensor | None  # (N,)
    mask_loss: Tensor  # (N,) λ1 dice + λ2 bce: no gradient, but part of eq. 1 and of the matching's cost


def fit(
    shots: Sequence[FitShot],
    words: Words,
    traits: BaseTraits,
    config: FitConfig,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
) -> tuple[PersonalHead, dict[str, float]]:
    """Learn one concept from K shots; returns its head and the final losses (means over the shots).

    The seed decides the order of the shots; the same inputs give the same bytes. `on_loss` is called with the loss of
    every step.

    Raises:
        InputError: a loss is not finite; nothing is returned, the message says at which iteration.
    """
    if config.visual == "none":
        config = replace(config, alpha=0.0)
    elif config.visual == "replace":
        config = replace(config, alpha=1.0)
    if config.hidden:
        traits = traits.among_competitors()
    visual = visual_embedding([(s.proposals, s.mask) for s in shots], traits.contrast)
    head = PersonalHead.start(words.concept, visual, len(shots[0].proposals.masks), config.alpha)
    prepared = [_prepare(shot, words, traits) for shot in shots]
    learned = [head.text, head.embedding_weights, head.mask_weights, head.mask_bias]
    for tensor in learned:
        tensor.requires_grad_(True)
    optimiser = torch.optim.AdamW(learned, config.learning_rate, weight_decay=0.0, foreach=False)
    generator = torch.Generator().manual_seed(config.seed)
    order: list[int] = []
    for step in range(config.iterations):
        order = order or torch.randperm(len(prepared), generator=generator).tolist()
        shot = prepared[order.pop()]
        terms = _losses(head, shot, words, traits)
        loss = terms["seg"] + config.lambda_z * terms["neg_embedding"]
        if config.lambda_m:  # the dearest term
            loss = loss + config.lambda_m * _mask_loss(head, shot)
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is not finite at iteration {step + 1} of {config.iterations}.",
                hint="lower --learning-rate, or look at the shots with 'ovss-personal inspect'.",
            )
        if on_loss:
            on_loss(loss.item())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if progress:
            progress(step + 1, config.iterations, "fit")
    with torch.no_grad():
        final = [_losses(head, s, words, traits) | {"neg_mask": _mask_loss(head, s)} for s in prepared]
    losses = {name: float(torch.stack([f[name] for f in final]).mean()) for name in final[0]}
    return PersonalHead(**{k: v.detach() for k, v in head.tensors().items()}, alpha=head.alpha), losses


def _losses(head: PersonalHead, shot: _Prepared, words: Words, traits: BaseTraits) -> dict[str, Tensor]:
    word = head.word
    personal = traits.logit_scale * shot.embeddings @ word
    positive = shot.overlapping if traits.positives == "overlap" else _matched(personal, shot, traits)
    cls = classification_loss(personal, shot.rest, positive, shot.void, traits.no_object)
    negative = head.negative_embedding(shot.embeddings)
    against = traits.logit_scale * torch.cat((words.open, word[None])) @ negative
    return {
        "seg": shot.mask_loss[positive].mean() + traits.cls * cls,
        "neg_embedding": negative_embedding_loss(against, len(words.open)),
    }


def _mask_loss(head: PersonalHead, shot: _Prepared) -> Tensor:
    return negative_mask_loss(head.negative_mask(shot.masks), shot.mask, shot.valid)


def _prepare(shot: FitShot, words: Words, traits: BaseTraits) -> _Prepared:
    # Copies, since a base may look in inference mode, whose tensors autograd refuses.
    masks, embeddings = shot.proposals.masks.clone(), shot.proposals.embeddings.clone()
    mask, valid = shot.on_grid
    dice, bce = (loss.clone() for loss in shot.mask_losses)
    return _Prepared(
        masks=masks,
        embeddings=embeddings,
        mask=mask,
        valid=valid,
        overlapping=shot.overlapping.clone(),
        rest=rest_logits(embeddings, torch.cat((words.open, words.hidden)), traits),
        void=None if traits.void is None else traits.logit_scale * embeddings @ traits.void[0],
        mask_loss=traits.dice * dice + traits.bce * bce,
    )


def _matched(personal: Tensor, shot: _Prepared, traits: BaseTraits) -> Tensor:
    """(N,) bool: the bipartite matching; with one ground truth it is the cheapest proposal."""
    probability = (personal - torch.logaddexp(personal, shot.rest)).exp()
    positive = torch.zeros(len(personal), dtype=torch.bool, device=personal.device)
    positive[(shot.mask_loss - traits.cls * probability).argmin()] = True
    return positive


def _overlapping(masks: Tensor, target: Tensor) -> Tensor:
    """(N, P) bool, (P,) bool -> (N,) bool: IoU above 0.5, large parts of the object, and the best one whatever it is.

    A part is large with an IoU above 0.3, and a part if more than 0.8 of it lies on the object.
    """
    both = (masks & target).sum(1)
    iou = both / (masks | target).sum(1).clamp(min=1)
    part = both > 0.8 * masks.sum(1)
    positive = (iou > 0.5) | (part & (iou > 0.3))
    positive[iou.argmax()] = True
    return positive
