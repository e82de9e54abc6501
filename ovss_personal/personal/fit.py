"""Eq. 7: the iterations on what the base saw in the K shots. No image passes through the base here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from ovss_personal.config import FitConfig
from ovss_personal.errors import InputError
from ovss_personal.painting.grid import to_grid
from ovss_personal.personal.head import PersonalHead, competing_logits
from ovss_personal.personal.losses import bce_loss, dice_loss
from ovss_personal.personal.steps import ExampleTensors, MaskSteps, WordSteps
from ovss_personal.personal.visual import shot_embedding, visual_embedding
from ovss_personal.structures import BaseTraits, BoolMask, Progress, Proposals

CHECK_EVERY = 20  # iterations between two looks at the losses, each of which waits for the device


@dataclass(frozen=True, eq=False)
class Example:
    """What a fit learns from: what the base saw in one photo, the mask in it, and where the mask says not to count.

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
        canvas, masks = self.proposals.canvas, self.proposals.masks
        mask = to_grid(self.mask, canvas, masks)
        return mask, None if self.ignore is None else mask | ~to_grid(self.ignore, canvas, masks)

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


@dataclass(frozen=True, eq=False)
class FitWords:
    """The words of a fit: (D,) of the class name, (V, D) of the open words, (C, D) of the competitors."""

    concept: Tensor
    open: Tensor
    competitors: Tensor


@dataclass(frozen=True, eq=False)
class FitTask:
    """One fit: what it learns from, and how.

    Attributes:
        shown: whether the negative mask is wanted to be looked at, even if no score reads it.
    """

    examples: tuple[Example, ...]
    words: FitWords
    config: FitConfig
    shown: bool = False

    @property
    def alpha(self) -> float:
        """The share of the visual embedding, as `config.visual` makes it."""
        return {"none": 0.0, "replace": 1.0}.get(self.config.visual, self.config.alpha)

    @property
    def masked(self) -> bool:
        """Whether the negative mask is learned: competitors take its part in a score, so then only if it is shown."""
        return self.shown or (self.config.negative and not self.config.has_competitors)

    def order(self) -> Iterator[Example]:
        """The example of each iteration. The seed decides their order; each is seen once before any is seen again."""
        generator = torch.Generator().manual_seed(self.config.seed)
        while True:
            order = torch.randperm(len(self.examples), generator=generator)
            yield from (self.examples[i] for i in reversed(order.tolist()))


Fitted = tuple[PersonalHead, dict[str, float]]  # and the final losses, means over the examples


def fit(
    examples: Sequence[Example],
    words: FitWords,
    traits: BaseTraits,
    config: FitConfig,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
) -> Fitted:
    """Learn one concept from K shots, as `fit_all` does."""
    return fit_all([FitTask(tuple(examples), words, config)], traits, progress, on_loss)[0]


def fit_all(
    tasks: Sequence[FitTask],
    traits: BaseTraits,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
) -> list[Fitted]:
    """Many fits of one base, in little more than the time of one, on the device of what it saw.

    Those that have the iterations and the learning rate in common step together. The same tasks give the same bytes.
    Beside other tasks sums are rounded otherwise, of which AdamW, as it divides by the size of a gradient, now and
    then makes more: personal words have then had a cosine of 0.9998.

    Args:
        tasks: fits against the same open words, one and the same tensor.
        progress: called with (done, total, "fit") after every iteration.
        on_loss: called with the loss of every iteration of the first task, several at a time.

    Raises:
        InputError: a loss is not finite; nothing is returned, the message says at which iteration.
        ValueError: the tasks' open words are not one and the same tensor.
    """
    if any(task.words.open is not tasks[0].words.open for task in tasks):
        raise ValueError("fits that are made together share their open words")
    groups: dict[tuple[int, float], list[int]] = {}
    for number, task in enumerate(tasks):
        groups.setdefault((task.config.iterations, task.config.learning_rate), []).append(number)
    total, done = sum(iterations for iterations, _ in groups), 0
    found: dict[int, Fitted] = {}
    for (iterations, _), numbers in groups.items():
        batch = _Batch([tasks[number] for number in numbers], traits)
        losses: list[Tensor] = []
        for step in range(iterations):
            losses.append(batch.step())
            if len(losses) == CHECK_EVERY or step + 1 == iterations:
                _check(losses, step + 1, iterations)
                if on_loss and numbers[0] == 0:
                    for loss in torch.stack(losses)[:, 0].tolist():
                        on_loss(loss)
                losses.clear()
            done += 1
            if progress:
                progress(done, total, "fit")
        found |= zip(numbers, batch.fitted(), strict=True)
    return [found[number] for number in range(len(tasks))]


def _check(losses: Sequence[Tensor], done: int, iterations: int) -> None:
    """Raises InputError unless the losses of the last iterations, (B,) each, are finite."""
    finite = torch.stack(list(losses)).isfinite().all(1).tolist()
    if not all(finite):
        raise InputError(
            f"the loss is not finite at iteration {done - len(finite) + finite.index(False) + 1} of {iterations}.",
            hint="lower --learning-rate, or look at the shots with 'ovss-personal inspect'.",
        )


class _Batch:
    """Fits that step together."""

    def __init__(self, tasks: Sequence[FitTask], traits: BaseTraits):
        self._tasks = tasks
        self._place = {example: i for i, example in enumerate(dict.fromkeys(e for t in tasks for e in t.examples))}
        tensors = _tensors(list(self._place), traits)
        own = [traits.among_competitors() if task.config.has_competitors else traits for task in tasks]
        embedding = {e: shot_embedding(e.proposals, e.mask, traits.contrast) for e in self._place}
        config = tasks[0].config
        self._words = WordSteps(
            tensors,
            tasks[0].words.open,
            own,
            text=torch.stack([task.words.concept for task in tasks]),
            visual=torch.stack([visual_embedding([embedding[e] for e in task.examples]) for task in tasks]),
            alpha=[task.alpha for task in tasks],
            lambda_z=[task.config.lambda_z for task in tasks],
            competing=_competing(tasks, own, tensors),
            learning_rate=config.learning_rate,
        )
        weighed = {self._mask_key(task): task.config.lambda_m for task in tasks if task.masked}
        self._masks = {key: MaskSteps(tensors, weight, config.learning_rate) for key, weight in weighed.items()}
        orders = [[self._place[e] for e in islice(task.order(), config.iterations)] for task in tasks]
        self._used = zip(*orders, strict=True)  # of each iteration, the example of each fit

    def step(self) -> Tensor:
        """One iteration of every fit; (B,) losses before it."""
        used = next(self._used)
        loss = self._words.step(used)
        examples = {self._mask_key(task): place for task, place in zip(self._tasks, used, strict=True) if task.masked}
        masks = {key: steps.step(examples[key]) for key, steps in self._masks.items()}
        if not masks:
            return loss
        none = torch.zeros_like(loss[0])
        return loss + torch.stack([masks[self._mask_key(t)] if t.masked else none for t in self._tasks])

    @torch.no_grad()
    def fitted(self) -> list[Fitted]:
        words, count = self._words, len(self._tasks)
        each = [torch.stack(words.losses((place,) * count)) for place in self._place.values()]  # S of (2, B)
        return [
            self._one(number, torch.stack([each[self._place[e]][:, number] for e in task.examples]).mean(0))
            for number, task in enumerate(self._tasks)
        ]

    def _one(self, number: int, losses: Tensor) -> Fitted:
        task, words = self._tasks[number], self._words
        text, visual = words.text[number].detach().clone(), words.visual[number]
        head = PersonalHead.start(text, visual, words.weights.shape[1], task.alpha)
        seg, negative_embedding = losses.tolist()
        told = {"seg": seg, "neg_embedding": negative_embedding}
        mask_weights, mask_bias = head.mask_weights, head.mask_bias
        if task.masked:
            masks = self._masks[self._mask_key(task)]
            mask_weights, mask_bias = masks.weights.detach().clone(), masks.bias.detach().clone()
            told["neg_mask"] = torch.stack([masks.loss(self._place[e]) for e in task.examples]).mean().item()
        weights = words.weights[number].detach().clone()
        return PersonalHead(text, visual, weights, mask_weights, mask_bias, task.alpha), told

    @staticmethod
    def _mask_key(task: FitTask) -> tuple[object, ...]:
        """Fits that agree in it learn the same negative mask."""
        return (*task.examples, task.config.seed, task.config.lambda_m)


def _tensors(examples: Sequence[Example], traits: BaseTraits) -> ExampleTensors:
    # Copies, since a base may look in inference mode, whose tensors autograd refuses.
    return ExampleTensors(
        embeddings=[e.proposals.embeddings.clone() for e in examples],
        masks=[e.counting[0].clone() for e in examples],
        truth=[e.counting[1] for e in examples],
        overlapping=torch.stack([e.overlapping for e in examples]),
        mask_loss=torch.stack([traits.dice * e.mask_losses[0] + traits.bce * e.mask_losses[1] for e in examples]),
    )


def _competing(tasks: Sequence[FitTask], own: Sequence[BaseTraits], tensors: ExampleTensors) -> Tensor:
    """(B, S, N) logsumexp of what each fit's personal word competes with; computed once for fits that agree in it."""
    known: dict[tuple[FitWords, float], Tensor] = {}
    for task, traits in zip(tasks, own, strict=True):
        key = (task.words, traits.logit_scale)
        if key not in known:
            rows = torch.cat((task.words.open, task.words.competitors))
            known[key] = torch.stack([competing_logits(e, rows, traits) for e in tensors.embeddings])
    return torch.stack([known[task.words, traits.logit_scale] for task, traits in zip(tasks, own, strict=True)])


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
