"""How good a base's proposals and words are: on every instance of a benchmark, before anything personal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ovss_personal.bases.base import Base
from ovss_personal.benchmarks.instances import InstanceSet, Photo
from ovss_personal.engine.see import propose
from ovss_personal.evaluation.metrics import PROPOSED, mean_of
from ovss_personal.evaluation.proposals import best_ious
from ovss_personal.personal.visual import shot_embedding
from ovss_personal.store.cache import ProposalCache
from ovss_personal.structures import Progress

# Upper ends of the bands by an instance's share of its photo, and what they are called.
BANDS = ((0.005, "under 0.5 %"), (0.02, "0.5 to 2 %"), (0.1, "2 to 10 %"), (1.01, "over 10 %"))


@dataclass(frozen=True)
class Measured:
    """One instance.

    Attributes:
        word: the index of its own.
        share: of the photo's pixels that it takes.
        best_iou: of any proposal with it.
        named: the index of the word that is nearest to the embedding (eq. 6) of its true mask.
    """

    word: int
    share: float
    best_iou: float
    named: int


@dataclass(frozen=True)
class Band:
    """Some instances: how many, the mean of their best proposals' IoU, the share of these from 0.5 up, and the share
    whose true mask is nearest to its own word; NaN of nothing."""

    name: str
    instances: int
    best_iou: float
    proposed: float
    top1: float


def measure(
    base: Base,
    benchmark: InstanceSet,
    cache: ProposalCache | None = None,
    progress: Progress = lambda done, total, stage: None,
) -> list[Measured]:
    """Every instance of the benchmark, but for those that are all void.

    Raises:
        InputError: a photo changed or cannot be read.
    """
    words = base.encode(benchmark.words)
    measured: list[Measured] = []
    for number, photo in enumerate(benchmark.photos, 1):
        measured += _photo(base, benchmark, photo, words, cache)
        progress(number, len(benchmark.photos), "measure")
    return measured


@torch.no_grad()
def _photo(
    base: Base, benchmark: InstanceSet, photo: Photo, words: torch.Tensor, cache: ProposalCache | None
) -> list[Measured]:
    void = photo.void_mask()
    masks = [(instance.word, mask & ~void) for instance, mask in zip(photo.instances, photo.masks(), strict=True)]
    masks = [(word, mask) for word, mask in masks if mask.any()]
    if not masks:
        return []
    proposals = propose(base, benchmark.image(photo), cache)
    best = best_ious(proposals, torch.from_numpy(np.stack([mask for _, mask in masks])), torch.from_numpy(void))
    measured = []
    for (word, mask), iou in zip(masks, best, strict=True):
        own = F.normalize(shot_embedding(proposals, mask, base.traits.contrast), dim=0)
        measured.append(Measured(word, float(mask.mean()), iou, int((words @ own).argmax())))
    return measured


def bands(measured: Sequence[Measured]) -> list[Band]:
    """The instances by their share of the photo, then all of them."""
    found, low = [], 0.0
    for high, name in BANDS:
        found.append(_band(name, [one for one in measured if low <= one.share < high]))
        low = high
    return [*found, _band("all", measured)]


def top1_by_word(measured: Sequence[Measured]) -> float:
    """The mean, over the words that there are instances of, of the share of these that are nearest to it."""
    return mean_of([_band("", [m for m in measured if m.word == word]).top1 for word in {m.word for m in measured}])


def markdown(benchmark: InstanceSet, base: str, measured: Sequence[Measured]) -> str:
    """The table, in percent."""
    lines = [
        f"{benchmark.name}, {base}: proposals, and the nearest of {len(benchmark.words)} words to true masks",
        "",
        "| share of the photo | instances | best proposal | proposed at 50 | top-1 word |",
        "|---|---|---|---|---|",
    ]
    for band in bands(measured):
        numbers = [_percent(share) for share in (band.best_iou, band.proposed, band.top1)]
        lines.append(f"| {band.name} | {band.instances} | {' | '.join(numbers)} |")
    kinds = len({one.word for one in measured})
    photos = len(benchmark.photos)
    lines += ["", f"top-1 word, mean over {kinds} words: {_percent(top1_by_word(measured))}; {photos} photos."]
    return "\n".join(lines) + "\n"


def facts(benchmark: InstanceSet, measured: Sequence[Measured]) -> dict[str, Any]:
    """The same as JSON; a share of nothing is null."""
    rows = [{name: None if value != value else value for name, value in vars(band).items()} for band in bands(measured)]
    return {
        "benchmark": benchmark.name,
        "photos": len(benchmark.photos),
        "bands": rows,
        "top1_by_word": top1_by_word(measured),
    }


def _band(name: str, of: Sequence[Measured]) -> Band:
    return Band(
        name,
        len(of),
        mean_of([one.best_iou for one in of]),
        mean_of([float(one.best_iou >= PROPOSED) for one in of]),
        mean_of([float(one.named == one.word) for one in of]),
    )


def _percent(share: float) -> str:
    return "–" if share != share else f"{100 * share:.1f}"
