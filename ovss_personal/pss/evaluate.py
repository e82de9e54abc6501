"""A network on an album: labels for every photo in its group's context, and how good they are."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ovss_personal.io.images import load_image
from ovss_personal.pss.album import Labels, Photo, group_batches, load_labels
from ovss_personal.pss.pixels import EVALUATION_SIDE, evaluation_size, nearest, normalised, resized
from ovss_personal.pss.scores import Scores, Tally
from ovss_personal.structures import Progress

Predict = Callable[[Tensor], Tensor]  # (B, 3, H, W) normalised photos of one group -> (B, 21, h, w) logits

BATCH = 8
_SEED = 1  # the published order of batches; photos that a batch holds decide the size they are stretched to


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photo.

    Attributes:
        photo: which.
        logits: (21, h, w), not resized.
        stretched: (height, width) that its batch was stretched to.
        size: (height, width) of the photo itself.
    """

    photo: Photo
    logits: Tensor
    stretched: tuple[int, int]
    size: tuple[int, int]

    def labels(self, size: tuple[int, int]) -> Labels:
        """(H, W) uint8 at any (height, width)."""
        found: Labels = self.logits.argmax(0).to(torch.uint8).cpu().numpy()
        return found if found.shape == size else nearest(found, size)


@torch.inference_mode()
def predict_album(
    predict: Predict,
    photos: Sequence[Photo],
    *,
    side: int = EVALUATION_SIDE,
    device: torch.device | str = "cpu",
    again: bool = False,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Every photo once, as it is seen in its first batch.

    Args:
        side: the shorter side that a batch is stretched to.
        again: also yield a photo when a batch that wraps around shows it another time.

    Raises:
        ImageError: a photo cannot be read.
    """
    batches = group_batches([photo.group for photo in photos], random.Random(_SEED), BATCH)
    seen: set[int] = set()
    for number, batch in enumerate(batches):
        if progress:
            progress(number, len(batches), "segment")
        images = {index: load_image(photos[index].image) for index in batch}
        sizes = [images[index].shape[:2] for index in batch]
        size = evaluation_size([(h, w) for h, w in sizes], side)
        stretched = {index: resized(image, size) for index, image in images.items()}
        logits = predict(normalised([stretched[index] for index in batch]).to(device))
        for place, index in enumerate(batch):
            if again or index not in seen:
                seen.add(index)
                height, width = sizes[place]
                yield Prediction(photos[index], logits[place], size, (height, width))
    if progress:
        progress(len(batches), len(batches), "segment")


def evaluate_album(
    predict: Predict,
    photos: Sequence[Photo],
    truth: Sequence[Photo],
    *,
    side: int = EVALUATION_SIDE,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Scores:
    """Score an album's annotated photos at the stretched size, as published.

    Args:
        photos: all photos with their groups: those without a mask still give context.
        truth: the annotated ones.

    Raises:
        ImageError, MaskError: a photo or mask cannot be used.
    """
    masks = {photo.name: photo.mask for photo in truth}
    tally = Tally()
    for found in predict_album(predict, photos, side=side, device=device, progress=progress):
        name = found.photo.name
        if name in masks:
            labels = nearest(load_labels(masks[name], found.size), found.stretched)
            tally.add(name, labels, found.labels(found.stretched))
    return tally.scores()


def logits_of(network: torch.nn.Module) -> Predict:
    """A network's main logits alone."""

    def predict(images: Tensor) -> Tensor:
        main: Tensor = network(images).main
        return main

    return predict
