"""The paper's metrics (method.md, section 4): counts over a whole test set, divided once at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import BoolMask

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

    def add_pairs(self, pairs: npt.NDArray[np.int64], word: int) -> None:
        """Count one image by what `Confusion.add` returned of it; `word` is the personal one."""
        hit, found, true = int(pairs[word, word]), int(pairs[:, word].sum()), int(pairs[word].sum())
        self.tp += hit
        self.fp += found - hit
        self.fn += true - hit
        if not true:
            self.negatives += 1
            self.false_alarms += int(found > FALSE_ALARM_AREA * pairs.sum())

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
    """Pixels of true word against found word, over a test set.

    Attributes:
        counts: (V + 1, V) rows are true words, the last row the pixels whose true word is not known.
    """

    def __init__(self, words: int) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((words + 1, words), np.int64)

    def add(self, found: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Count pixels, of any one shape: labels in [0, V), -1 for a true word that is not known.

        Returns:
            (V + 1, V) the counts of these pixels alone.
        """
        words = self.counts.shape[1]
        rows = np.where(truth < 0, words, truth).astype(np.int64)
        new = np.bincount((rows * words + found).ravel(), minlength=self.counts.size).reshape(self.counts.shape)
        self.counts += new
        return new

    def merge(self, other: Confusion) -> None:
        """Add what another has counted of the same words."""
        self.counts += other.counts

    def iou(self) -> npt.NDArray[np.float64]:
        """(V,) IoU of each word; NaN for a word that is neither true nor found anywhere."""
        known = self.counts[:-1]
        hit = np.diag(known)
        union = known.sum(0) + known.sum(1) - hit
        ious: npt.NDArray[np.float64] = np.full(len(hit), np.nan)
        np.divide(hit, union, out=ious, where=union > 0)
        return ious

    def mean_iou(self, leave_out: Sequence[int] = ()) -> float:
        """Mean IoU over the words present in the truth, without those of `leave_out`; NaN if there are none."""
        present = self.counts[:-1].sum(1) > 0
        present[list(leave_out)] = False
        return float(self.iou()[present].mean()) if present.any() else math.nan


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def mean_and_interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Mean of the values that are not NaN, and the ends of its 95 % bootstrap interval, always of the same draws."""
    known = np.array([v for v in values if not math.isnan(v)])
    if len(known) == 0:
        return math.nan, math.nan, math.nan
    picks = np.random.default_rng(0).integers(0, len(known), (draws, len(known)))
    low, high = np.quantile(known[picks].mean(1), (0.025, 0.975))
    return float(known.mean()), float(low), float(high)
