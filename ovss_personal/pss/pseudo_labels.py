"""Step 2's labels: what step 1's network says of the photos, or pixels, that it is surest of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ovss_personal.painting.overlay import index_png
from ovss_personal.pss.album import Labels, Photo, write_list
from ovss_personal.pss.classes import IGNORE
from ovss_personal.pss.evaluate import Predict, Prediction, predict_album
from ovss_personal.pss.losses import entropy_map, image_entropy
from ovss_personal.pss.methods import AdaptConfig
from ovss_personal.pss.pixels import EVALUATION_SIDE, nearest
from ovss_personal.store.files import atomic_write

MASKS = "color_masks"
EASY, HARD = Path("entrank/easy_split.txt"), Path("entrank/hard_split.txt")


def make_pseudo_labels(
    predict: Predict,
    photos: Sequence[Photo],
    root: Path,
    out: Path,
    config: AdaptConfig,
    *,
    side: int = EVALUATION_SIDE,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Photo]:
    """Write masks and lists below `out`; returns the photos to train on, surest first, with their new masks.

    A photo's score is the mean of its entropy map in its group's context. The share `config.keep` of the photos that
    score lowest are easy, the others hard; with `config.per_pixel` all are easy, and in each the share of the pixels
    whose entropy is highest is 255.

    Args:
        root: the album's folder.
        out: gets `color_masks/NAME.png` at each photo's own size, `entrank/easy_split.txt` and `hard_split.txt`.
    """
    scores: dict[str, float] = {}
    # As published, a photo that a batch repeats is judged by the last time it is seen.
    again = config.rule == "compat"
    for found in predict_album(predict, photos, side=side, device=device, again=again, progress=progress):
        scores[found.photo.name] = float(image_entropy(found.logits[None])[0])
        labels = _sure_labels(found, config.keep) if config.per_pixel else found.labels(found.size)
        atomic_write(out / MASKS / f"{found.photo.name}.png", index_png(labels))
    ranked = sorted(photos, key=lambda photo: scores[photo.name])
    ranked = [replace(photo, mask=out / MASKS / f"{photo.name}.png") for photo in ranked]
    easy = len(ranked) if config.per_pixel else max(1, int(config.keep * len(ranked)))
    write_list(out / HARD, ranked[easy:], root, out)
    write_list(out / EASY, ranked[:easy], root, out)  # last: where it is, all is
    return ranked[:easy]


def _sure_labels(found: Prediction, keep: float) -> Labels:
    """(H, W) at the photo's size; the pixels of highest entropy are 255, a share `keep` is not."""
    entropy = entropy_map(found.logits[None])[0].sum(0)
    kept = max(1, int(keep * entropy.numel()))
    bound = entropy.flatten().kthvalue(kept).values
    labels = found.logits.argmax(0).masked_fill(entropy > bound, IGNORE)
    return nearest(labels.cpu().numpy().astype(np.uint8), found.size)
