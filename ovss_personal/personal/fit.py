"""Eq. 7: the iterations on what the base saw in the K shots. No image passes through the base here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ovss_personal.config import FitConfig
from ovss_personal.errors import InputError
from ovss_personal.painting.grid import to_grid
from ovss_personal.personal.head import PersonalHead, rest_logits
from ovss_personal.personal.losses import bce_loss, dice_loss
from ovss_personal.personal.steps import MaskSteps, Pictures, WordSteps
from ovss_personal.personal.visual import shot_embedding, visual_embedding
from ovss_personal.structures import BaseTraits, BoolMask, Progress, Proposals


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
    def counting(self) -> tuple[Tensor, Tensor]:
        """Mask logits (N, P) and the truth (P,) bool, at the P cells that count."""
        mask, valid = self.on_grid
        keep = slice(None) if valid is None else valid.flatten()
        return self.proposals.masks.flatten(1)[:, keep], mask.flatten()[keep]

    @cached_property
    def overlapping(self) -> Tensor:
        """(N,) bool, the positives of the rule "overlap"."""
        logits, target = self.counting
        return _overlapping(logits > 0, target)

    @cached_property
    def mask_losses(self) -> tuple[Tensor, Tensor]:
        """(N,) dice and (N,) bce of each proposal."""
        logits, target = self.counting
        return dice_loss(logits, target.float()), bce_loss(logits, target.float())


@dataclass(frozen=True)
class Words:
    """The words of a fit: (D,) of the class name, (V, D) of the open words, (C, D) of the hidden competitors."""

    concept: Tensor
    open: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class FitTask:
    """One fit: what it learns from, and how."""

    shots: tuple[FitShot, ...]
    words: Words
    config: FitConfig

    @property
    def alpha(self) -> float:
        """The share of the visual embedding, as `config.visual` makes it."""
        return {"none": 0.0, "replace": 1.0}.get(self.config.visual, self.config.alpha)

    def pictures(self) -> Iterator[FitShot]:
        """The shot of each iteration. The seed decides their order; each is seen once before any is seen again."""
        generator = torch.Generator().manual_seed(self.config.seed)
        while True:
            yield from (self.shots[i] for i in reversed(torch.randperm(len(self.shots), generator=generator).tolist()))


Fitted = tuple[PersonalHead, dict[str, float]]  # and the final losses, means over the shots


def fit(
    shots: Sequence[FitShot],
    words: Words,
    traits: BaseTraits,
    config: FitConfig,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
) -> Fitted:
    """Learn one concept from K shots, as `fit_all` does."""
    return fit_all([FitTask(tuple(shots), words, config)], traits, progress, on_loss)[0]


def fit_all(
    tasks: Sequence[FitTask],
    traits: BaseTraits,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
) -> list[Fitted]:
    """Many fits of one base, in little more than the time of one.

    Those that have the iterations, the learning rate and the open words (one and the same tensor) in common step
    together. The same tasks give the same bytes. Beside other tasks sums are rounded otherwise, of which AdamW, as it
    divides by the size of a gradient, now and then makes more: personal words have then had a cosine of 0.9998.

    Args:
        progress: called with (done, total, "fit") after every iteration.
        on_loss: called with the loss of every iteration of the first task.

    Raises:
        InputError: a loss is not finite; nothing is returned, the message says at which iteration.
    """
    groups: dict[tuple[int, float, int], list[int]] = {}
    for number, task in enumerate(tasks):
        key = (task.config.iterations, task.config.learning_rate, id(task.words.open))
        groups.setdefault(key, []).append(number)
    total, done = sum(iterations for iterations, _, _ in groups), 0
    found: dict[int, Fitted] = {}
    for (iterations, _, _), numbers in groups.items():
        batch = _Batch([tasks[number] for number in numbers], traits)
        for step in range(iterations):
            losses = batch.step()
            if not losses.isfinite().all():
                raise InputError(
                    f"the loss is not finite at iteration {step + 1} of {iterations}.",
                    hint="lower --learning-rate, or look at the shots with 'ovss-personal inspect'.",
                )
            if on_loss and numbers[0] == 0:
                on_loss(losses[0].item())
            done += 1
            if progress:
                progress(done, total, "fit")
        found |= zip(numbers, batch.fitted(), strict=True)
    return [found[number] for number in range(len(tasks))]


class _Batch:
    """Fits that step together."""

    def __init__(self, tasks: Sequence[FitTask], traits: BaseTraits):
        self._tasks = tasks
        pool = {id(shot): shot for task in tasks for shot in task.shots}
        self._place = {key: place for place, key in enumerate(pool)}
        shots = list(pool.values())
        # Copies, since a base may look in inference mode, whose tensors autograd refuses.
        pictures = Pictures(
            embeddings=[shot.proposals.embeddings.clone() for shot in shots],
            masks=[shot.counting[0].clone() for shot in shots],
            truth=[shot.counting[1] for shot in shots],
            overlapping=torch.stack([shot.overlapping for shot in shots]),
            mask_loss=torch.stack([traits.dice * s.mask_losses[0] + traits.bce * s.mask_losses[1] for s in shots]),
        )
        own = [traits.among_competitors() if task.config.hidden else traits for task in tasks]
        rest: dict[tuple[int, float], Tensor] = {}
        for task, mine in zip(tasks, own, strict=True):
            key = (id(task.words.hidden), mine.logit_scale)
            if key not in rest:
                rivals = torch.cat((task.words.open, task.words.hidden))
                rest[key] = torch.stack([rest_logits(e, rivals, mine) for e in pictures.embeddings])
        seen = {key: shot_embedding(shot.proposals, shot.mask, traits.contrast) for key, shot in pool.items()}
        config = tasks[0].config
        self._words = WordSteps(
            pictures,
            tasks[0].words.open,
            own,
            text=torch.stack([task.words.concept for task in tasks]),
            visual=torch.stack([visual_embedding([seen[id(shot)] for shot in task.shots]) for task in tasks]),
            alpha=[task.alpha for task in tasks],
            lambda_z=[task.config.lambda_z for task in tasks],
            rest=torch.stack([rest[id(t.words.hidden), mine.logit_scale] for t, mine in zip(tasks, own, strict=True)]),
            learning_rate=config.learning_rate,
        )
        weighed = {self._mask_key(task): task.config.lambda_m for task in tasks}
        self._masks = {key: MaskSteps(pictures, weight, config.learning_rate) for key, weight in weighed.items()}
        self._orders = [task.pictures() for task in tasks]

    def step(self) -> Tensor:
        """One iteration of every fit; (B,) losses before it."""
        used = [self._place[id(next(order))] for order in self._orders]
        picture = {self._mask_key(task): place for task, place in zip(self._tasks, used, strict=True)}
        masks = {key: steps.step(picture[key]) for key, steps in self._masks.items()}
        return self._words.step(used) + torch.stack([masks[self._mask_key(task)] for task in self._tasks])

    @torch.no_grad()
    def fitted(self) -> list[Fitted]:
        words, count = self._words, len(self._tasks)
        each = [torch.stack(words.losses([place] * count)) for place in self._place.values()]  # S of (2, B)
        return [
            self._one(number, torch.stack([each[self._place[id(shot)]][:, number] for shot in task.shots]).mean(0))
            for number, task in enumerate(self._tasks)
        ]

    def _one(self, number: int, losses: Tensor) -> Fitted:
        task, words = self._tasks[number], self._words
        masks = self._masks[self._mask_key(task)]
        head = PersonalHead(
            text=words.text[number].detach().clone(),
            visual=words.visual[number],
            embedding_weights=words.weights[number].detach().clone(),
            mask_weights=masks.weights.detach().clone(),
            mask_bias=masks.bias.detach().clone(),
            alpha=task.alpha,
        )
        negative_mask = torch.stack([masks.loss(self._place[id(shot)]) for shot in task.shots]).mean()
        seg, negative_embedding = losses.tolist()
        return head, {"seg": seg, "neg_embedding": negative_embedding, "neg_mask": negative_mask.item()}

    @staticmethod
    def _mask_key(task: FitTask) -> tuple[object, ...]:
        """Fits that agree in it learn the same negative mask."""
        return (*(id(shot) for shot in task.shots), task.config.seed, task.config.lambda_m)


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
