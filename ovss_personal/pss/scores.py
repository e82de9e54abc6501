"""FIoU and MIoU, as the published code computes them and with their oddities cleaned up.

Published: MIoU divides by all 21 classes, so a class that neither occurs nor is predicted counts as 0. FIoU is the
mean over photos of foreground IoU in which the class must agree; pixels marked 255 count as foreground, and a photo
without foreground in mask and prediction scores 0. Clean: MIoU over the classes that occur or are predicted; FIoU
without the pixels marked 255, over the photos with foreground in mask or prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ovss_personal.pss.classes import CLASSES, IGNORE

_TINY = 2.2e-16
Array = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Scores:
    """Shares in [0, 1]; the clean ones are None where nothing could be scored.

    Attributes:
        fiou, miou: as published.
        clean_fiou, clean_miou: cleaned up.
        class_iou: (21,) as published.
        photo_iou: the published foreground IoU of each photo by name.
    """

    fiou: float
    miou: float
    clean_fiou: float | None
    clean_miou: float | None
    class_iou: tuple[float, ...]
    photo_iou: dict[str, float]


@dataclass
class Tally:
    """Counts photo after photo; `scores()` whenever wanted."""

    histogram: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CLASSES),) * 2, np.int64))
    photo_iou: dict[str, float] = field(default_factory=dict)
    clean_iou: list[float] = field(default_factory=list)

    def add(self, name: str, truth: Array, prediction: Array) -> None:
        """Count one photo: (H, W) class indices each, `truth` with 255 where nothing is known."""
        self.histogram += histogram(truth, prediction)
        self.photo_iou[name] = foreground_iou(truth, prediction)
        counted = truth != IGNORE
        if (truth[counted] > 0).any() or (prediction[counted] > 0).any():
            self.clean_iou.append(foreground_iou(truth[counted], prediction[counted]))

    def scores(self) -> Scores:
        """Raises ValueError if no photo was added."""
        if not self.photo_iou:
            raise ValueError("no photo was counted")
        per_class = class_iou(self.histogram)
        occurs = self.histogram.sum(0) + self.histogram.sum(1) > 0
        return Scores(
            fiou=float(np.mean(list(self.photo_iou.values()))),
            miou=float(per_class.mean()),
            clean_fiou=float(np.mean(self.clean_iou)) if self.clean_iou else None,
            clean_miou=float(per_class[occurs].mean()) if occurs.any() else None,
            class_iou=tuple(per_class.tolist()),
            photo_iou=dict(self.photo_iou),
        )


def histogram(truth: Array, prediction: Array) -> npt.NDArray[np.int64]:
    """(21, 21) pixel counts, rows the truth; pixels whose truth is no class are left out."""
    classes = len(CLASSES)
    counted = (truth >= 0) & (truth < classes)
    pairs = classes * truth[counted].astype(np.int64) + prediction[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(K, K) -> (K,), 0 for a class that neither occurs nor is predicted."""
    hits = np.diag(counts)
    iou: npt.NDArray[np.float64] = hits / (counts.sum(0) + counts.sum(1) - hits + _TINY)
    return iou


def foreground_iou(truth: Array, prediction: Array) -> float:
    """Pixels with the right class above 0, as a share of those above 0 in either; 0 where there are none."""
    union = int(((prediction > 0) | (truth > 0)).sum())
    return int(((prediction == truth) & (prediction > 0)).sum()) / union if union else 0.0
