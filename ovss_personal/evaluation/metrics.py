"""The paper's metrics (method.md, section 4): counts over a whole test set, divided once at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import BoolMask, LabelMap

FALSE_ALARM_AREA = 0.01  # of an image without the concept


@dataclass
class PersonalCounts:
    """Pixels of the personal word over a test set, and images without it that were called to hold it."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    negatives: int = 0
    false_alarms: int = 0

    def add(self, found: BoolMask, truth: BoolMask) -> None:
        """Count one image. An image whose truth is empty counts as a negative."""
        self.tp += int((found & truth).sum())
        self.fp += int((found & ~truth).sum())
        self.fn += int((~found & truth).sum())
        if not truth.any():
            self.negatives += 1
            self.false_alarms += int(found.mean() > FALSE_ALARM_AREA)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN if the word was neither there nor found."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the images without the concept in which more than 1 % of the pixels were called it."""
        return _ratio(self.false_alarms, self.negatives)


class Confusion:
    """(V, V) pixels of true word against found word, over a test set."""

    def __init__(self, words: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((words, words), np.int64)

    def add(self, found: LabelMap, truth: LabelMap, valid: BoolMask | None = None) -> None:
        """Count one image; labels in [0, V). `valid` says which pixels count."""
        words = len(self.counts)
        pairs = truth.astype(np.int64) * words + found
        if valid is not None:
            pairs = pairs[valid]
        self.counts += np.bincount(pairs.ravel(), minlength=words * words).reshape(words, words)

    def iou(self) -> npt.NDArray[np.float64]:
        """(V,) IoU of each word; NaN for a word that is neither true nor found anywhere."""
        hit = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        ious: npt.NDArray[np.float64] = np.full(len(hit), np.nan)
        np.divide(hit, union, out=ious, where=union > 0)
        return ious

    def mean_iou(self, leave_out: Sequence[int] = ()) -> float:
        """Mean IoU over the words present in the truth, without those of `leave_out`; NaN if there are none."""
        present = self.counts.sum(1) > 0
        present[list(leave_out)] = False
        return float(self.iou()[present].mean()) if present.any() else math.nan


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of the values that are not NaN, and the half width of its 95 % interval (normal approximation)."""
    known = np.array([v for v in values if not math.isnan(v)])
    if len(known) == 0:
        return math.nan, math.nan
    spread = known.std(ddof=1) if len(known) > 1 else 0.0
    return float(known.mean()), float(1.96 * spread / math.sqrt(len(known)))
