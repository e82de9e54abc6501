"""How good a base's proposals and its plain label map are, before anything personal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovss_personal.bases.base import Base
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest
from ovss_personal.engine.find import Finder
from ovss_personal.engine.see import propose, see
from ovss_personal.painting.grid import mask_rows
from ovss_personal.store.cache import ProposalCache
from ovss_personal.structures import Proposals

AT_ONCE = 4_000_000  # mask pixels that are made at a time: 16 MB


@dataclass(frozen=True)
class BaseQuality:
    """Means over test images, in [0, 1].

    Attributes:
        best_iou: the best IoU that any proposal reaches with the object, on the positives.
        best_iou_pairs: the same on the side-by-side images; None without such images.
        background_called: share of the pixels outside the object that are labelled a word and not the base's
            own extra word, on the positives; None for a base without such a word.
    """

    best_iou: float
    best_iou_pairs: float | None
    background_called: float | None


def base_quality(base: Base, manifest: Manifest, cache: ProposalCache | None = None) -> BaseQuality:
    """Look at every positive and side-by-side image of a manifest.

    Every second positive has a thing of another kind in a corner (Stamps^per), which rightly gets a word; only the
    others count for the background.
    """
    best: dict[str, list[float]] = {"positives": [], "pairs": []}
    called = []
    for concept in manifest.concepts:
        for kind, items in (("positives", concept.positives), ("pairs", concept.pairs)):
            for number, item in enumerate(items):
                best[kind].append(_best_iou(base, manifest, item, cache))
                if kind == "positives" and number % 2 == 0 and base.extra_words:
                    called.append(_called(base, manifest, concept, item, cache))
    return BaseQuality(
        best_iou=float(np.mean(best["positives"])),
        best_iou_pairs=float(np.mean(best["pairs"])) if best["pairs"] else None,
        background_called=float(np.mean(called)) if called else None,
    )


@torch.no_grad()
def best_ious(proposals: Proposals, truths: Tensor, void: Tensor | None = None) -> list[float]:
    """The best IoU of any proposal with each of some masks at the image's size.

    Args:
        truths: (I, H, W) bool.
        void: (H, W) bool, the pixels that do not count, none of them in a mask.
    """
    count, (height, width) = len(proposals.masks), truths.shape[1:]
    truths = truths.to(proposals.masks.device)
    counts = torch.ones_like(truths[0]) if void is None else ~void.to(truths.device)
    both = torch.zeros(count, len(truths), dtype=torch.float64, device=truths.device)
    areas = both[:, :1].clone()
    step = max(1, AT_ONCE // (count * width))
    for start in range(0, height, step):
        stop = min(height, start + step)
        masks = (mask_rows(proposals.masks, proposals.canvas, start, stop) > 0) & counts[start:stop]
        masks = masks.flatten(1).float()
        both += masks @ truths[:, start:stop].flatten(1).float().T
        areas += masks.sum(1, keepdim=True)
    either = areas + truths.flatten(1).sum(1) - both
    return [float(best) for best in (both / either.clamp(min=1)).amax(0)]


def _best_iou(base: Base, manifest: Manifest, item: Item, cache: ProposalCache | None) -> float:
    image = manifest.image(item)
    truth = torch.from_numpy(manifest.mask(item, image))
    return best_ious(propose(base, image, cache), truth[None])[0]


@torch.no_grad()
def _called(base: Base, manifest: Manifest, concept: ConceptSet, item: Item, cache: ProposalCache | None) -> float:
    image = manifest.image(item)
    outside = ~manifest.mask(item, image)
    words = tuple(dict.fromkeys((*manifest.words, concept.class_name)))
    plain = Finder(base, words).find(see(base, image, cache))
    return float((plain.labels[outside] < len(words)).mean())
