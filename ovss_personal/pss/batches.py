"""Training batches that depend on the seed and their number alone, so that a training goes on where it stopped."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ovss_personal.io.images import load_image
from ovss_personal.pss.album import Labels, Photo, group_batches, load_labels
from ovss_personal.pss.pixels import normalised, training_crop
from ovss_personal.structures import RGBImage

Batch = tuple[Tensor, Tensor]  # (B, 3, S, S) float32 normalised photos, (B, S, S) int64 labels


class CropBatches(Dataset[Batch]):
    """Batch after batch of random crops; one epoch follows another, each in an order of its own.

    Args:
        photos: with their groups; all photos of a batch are of one.
        labelled: whether the masks are read; without, every label is 255.
        crop: side S in pixels.
        batch: photos in each.
        seed: the same numbers give the same batches.
    """

    def __init__(
        self, photos: Sequence[Photo], *, labelled: bool, crop: int, batch: int, seed: tuple[int, int]
    ) -> None:
        self.photos, self.labelled, self.crop, self.batch, self.seed = list(photos), labelled, crop, batch, seed
        self._groups = [photo.group for photo in photos]
        self._epoch, self._order = 0, self._shuffled(0)

    def _shuffled(self, epoch: int) -> list[list[int]]:
        return group_batches(self._groups, random.Random(f"{self.seed} {epoch}"), self.batch)

    def __getitem__(self, number: int) -> Batch:
        epoch, place = divmod(number, len(self._order))  # every epoch has as many batches
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        crops = [
            self._crop(np.random.default_rng([*self.seed, number, slot]), self.photos[index])
            for slot, index in enumerate(self._order[place])
        ]
        labels = np.stack([truth for _, truth in crops])
        return normalised([image for image, _ in crops]), torch.from_numpy(labels.astype(np.int64))

    def _crop(self, rng: np.random.Generator, photo: Photo) -> tuple[RGBImage, Labels]:
        image = load_image(photo.image)
        labels = load_labels(photo.mask, image.shape[:2]) if self.labelled else None
        return training_crop(rng, image, labels, self.crop)

    def loader(self, numbers: Sequence[int], workers: int) -> DataLoader[Batch]:
        """The batches of these numbers, read by so many processes beside this one."""
        return DataLoader(self, batch_size=None, sampler=numbers, num_workers=workers)
