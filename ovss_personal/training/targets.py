"""What the mask decoder is taught on a batch of scenes, and how far it is from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ovss_personal.bases.embedded.decoder import MaskDecoder, grid_points, mask_logits, spots
from ovss_personal.training.scenes import VOID, Scene

QUERIES = 100
PER_SEGMENT = 36  # of them lie on segments, each of which is as likely as another
FREE = 64  # the others lie on a jittered grid
CELL = 4  # pixels a side of a mask's cell
HEAT_CELL = 8


@dataclass(frozen=True)
class Batch:
    """Scenes as tensors.

    Attributes:
        images: (B, 3, S, S) uint8.
        segments: (B, S, S) int64; `VOID` where nobody knows.
        taught: (B, 256) bool, which segment a query can be taught.
        heat: (B, 1, S / 8, S / 8) in [0, 1] how much like the middle of a thing; negative where nobody knows.
    """

    images: Tensor
    segments: Tensor
    taught: Tensor
    heat: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(t.to(device) for t in (self.images, self.segments, self.taught, self.heat)))


def batch_of(scenes: Sequence[Scene]) -> Batch:
    taught = torch.ones(len(scenes), 256, dtype=torch.bool)
    taught[:, VOID] = False
    for row, scene in zip(taught, scenes, strict=True):
        row[: scene.regions] = scene.taught
    return Batch(
        images=torch.from_numpy(np.stack([s.image for s in scenes])).permute(0, 3, 1, 2),
        segments=torch.from_numpy(np.stack([s.segments for s in scenes])).long(),
        taught=taught,
        heat=torch.from_numpy(np.stack([middles(s) for s in scenes]))[:, None],
    )


def middles(scene: Scene) -> npt.NDArray[np.float32]:
    """(S / 8, S / 8): 1 where a thing is farthest from its edge (less for a large thing), 0 on its edge and outside.

    So the small one wins where the middles of two things lie close together. -1 where nobody knows.
    """
    small = scene.segments[1::CELL, 1::CELL]
    heat = np.zeros(small.shape, np.float32)
    for thing in np.unique(small[(small >= scene.regions) & (small != VOID)]):
        rows, columns = np.nonzero(small == thing)
        part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        inside: npt.NDArray[np.bool_] = np.pad(small[part] == thing, 1)  # the picture's border is an edge too
        depth = distance_transform_edt(inside)[1:-1, 1:-1]
        most = 1 - 0.5 * (inside.sum() / small.size) ** 0.5
        heat[part] = np.maximum(heat[part], most * depth / depth.max())
    heat[small == VOID] = -1
    step = HEAT_CELL // CELL
    rows = np.maximum.reduceat(heat, np.arange(0, len(heat), step), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, len(heat), step), axis=1)


def query_points(batch: Batch, generator: torch.Generator) -> Tensor:
    """(B, 100, 2): a jittered grid of 64 points, and 36 spread over the segments that can be taught."""
    size = batch.segments.shape[-1]
    count = len(batch.segments)
    jitter = (torch.rand(count, FREE, 2, generator=generator) - 0.5) / 8
    on_segments = torch.rand(count, PER_SEGMENT, 2, generator=generator)
    for segments, taught, points in zip(batch.segments, batch.taught, on_segments, strict=True):
        present = [s for s in torch.unique(segments).tolist() if taught[s]]
        if not present:
            continue
        chosen = torch.randint(len(present), (PER_SEGMENT,), generator=generator).tolist()
        where = {i: (segments == present[i]).flatten().nonzero().squeeze(1) for i in set(chosen)}
        for q, i in enumerate(chosen):
            pixel = int(where[i][torch.randint(len(where[i]), (), generator=generator)])
            points[q] = torch.tensor(((pixel % size + 0.5) / size, (pixel // size + 0.5) / size))
    return torch.cat((grid_points(8) + jitter, on_segments), 1)


def segment_at(segments: Tensor, points: Tensor) -> Tensor:
    """(B, S, S), (B, Q, 2) -> (B, Q) the segment under each point."""
    size = segments.shape[-1]
    at = (points * size).long().clamp(0, size - 1)
    return segments.flatten(1).gather(1, at[..., 1] * size + at[..., 0])


def mask_loss(decoder: MaskDecoder, taps: list[Tensor], batch: Batch, points: Tensor | None) -> Tensor:
    """5 bce + 2 dice + 0.5 bce of the predicted IoU + bce of the heat; cells that nobody knows do not count.

    Args:
        points: (B, Q, 2); None: the decoder's own.

    A query's weight is 1 / √n, if n queries lie on its segment.
    """
    features = decoder.features(taps)
    known = (batch.heat >= 0).float()
    heat = F.binary_cross_entropy_with_logits(features.heat, batch.heat.clamp(min=0), known, reduction="sum")
    heat = heat / known.sum().clamp(min=1)
    if points is None:
        points = spots(features.heat.detach().sigmoid())
    pixels, vectors, quality = decoder.embed(features, points)
    small = batch.segments[:, 1::CELL, 1::CELL].flatten(1)  # (B, P), the pixel at each cell's middle
    wanted = segment_at(batch.segments, points)  # (B, Q)
    alike = (wanted[:, :, None] == wanted[:, None]).sum(-1)
    weight = batch.taught.gather(1, wanted) / alike.sqrt()
    weight = weight / weight.sum().clamp(min=1e-6)
    x = mask_logits(pixels.flatten(2), vectors)  # (B, Q, P)
    y = (small[:, None] == wanted[..., None]).float()  # (B, Q, P)
    counts = (small != VOID).float()[:, None]  # (B, 1, P)
    total = counts.sum(-1).clamp(min=1)  # (B, 1)
    bce = (F.binary_cross_entropy_with_logits(x, y, reduction="none") * counts).sum(-1) / total
    p = x.sigmoid() * counts
    dice = 1 - (2 * (p * y).sum(-1) + 1) / (p.sum(-1) + y.sum(-1) + 1)
    with torch.no_grad():
        hard = (x > 0).float() * counts
        both = (hard * y).sum(-1)
        iou = both / (hard.sum(-1) + y.sum(-1) - both).clamp(min=1)
    told = F.binary_cross_entropy_with_logits(quality, iou, reduction="none")
    return (weight * (5 * bce + 2 * dice + 0.5 * told)).sum() + heat
