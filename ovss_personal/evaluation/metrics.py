"""The paper's metrics (method.md, section 4): counts over a whole test set, divided once at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import BoolMask

FALSE_ALARM_AREA = 0.01  # of an image without the concept
PROPOSED = 0.5  # IoU from which a proposal is said to be the object


@dataclass
class PersonalCounts:
    """Pixels of the personal word over a test set, and what was found in each image of it.

    Attributes:
        tp, fp, fn: pixels of all images.
        ious: of each image with the concept.
        proposed: the best IoU of any proposal, of each image with the concept; NaN where nobody looked.
        missed: images with the concept in which a proposal was the object, but nothing was called it.
        negatives, false_alarms: images without the concept, and those of them that were called to hold it.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    ious: list[float] = field(default_factory=list)
    proposed: list[float] = field(default_factory=list)
    missed: int = 0
    negatives: int = 0
    false_alarms: int = 0

    def add(self, found: BoolMask, truth: BoolMask) -> None:
        """Count one image. An image whose truth is empty counts as a negative."""
        self._add(int((found & truth).sum()), int(found.sum()), int(truth.sum()), truth.size)

    def add_pairs(self, pairs: npt.NDArray[np.int64], word: int, proposed: float = math.nan) -> None:
        """Count one image by what `Confusion.add` returned of it; `word` is the personal one.

        Args:
            proposed: the best IoU of any proposal with the object.
        """
        hit, found, true = int(pairs[word, word]), int(pairs[:, word].sum()), int(pairs[word].sum())
        self._add(hit, found, true, int(pairs.sum()), proposed)

    def _add(self, hit: int, found: int, true: int, pixels: int, proposed: float = math.nan) -> None:
        self.tp += hit
        self.fp += found - hit
        self.fn += true - hit
        if not true:
            self.negatives += 1
            self.false_alarms += int(found > FALSE_ALARM_AREA * pixels)
            return
        self.ious.append(hit / (found + true - hit))
        self.proposed.append(proposed)
        # Of an object smaller than that area, all of it may be found and still be less.
        nothing = hit == 0 or found < FALSE_ALARM_AREA * pixels <= true
        self.missed += int(nothing and proposed >= PROPOSED)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN); NaN if the word was neither there nor found."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def photo_iou(self) -> float:
        """Mean of the IoUs of the images with the concept, however large it is in each; NaN without any."""
        return mean_of(self.ious)

    @property
    def best_proposal(self) -> float:
        """Mean over the images with the concept; NaN without any."""
        return mean_of(self.proposed)

    @property
    def missed_rate(self) -> float:
        """Share of the images with the concept in which it was proposed but nothing called it."""
        return _ratio(self.missed, sum(not math.isnan(best) for best in self.proposed))

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


class LabelCounts:
    """A test set under one method; labels are the words, then the concept."""

    def __init__(self, words: int) -> None:
        self.personal = PersonalCounts()
        self.words = Confusion(words + 1)

    def add(self, found: npt.NDArray[np.integer], truth: npt.NDArray[np.integer], proposed: float = math.nan) -> None:
        """Count one image; the arguments are those of `Confusion.add` and `PersonalCounts.add_pairs`."""
        self.personal.add_pairs(self.words.add(found, truth), self.words.counts.shape[1] - 1, proposed)


def mean_of(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return _ratio(sum(known), len(known))


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else math.nan


def mean_and_interval(values: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Mean of the values that are not NaN, and the ends of its 95 % bootstrap interval, always of the same draws."""
    known = np.array([v for v in values if not math.isnan(v)])
    if len(known) == 0:
        return math.nan, math.nan, math.nan
    picks = np.random.default_rng(0).integers(0, len(known), (draws, len(known)))
    low, high = np.quantile(known[picks].mean(1), (0.025, 0.975))
    return float(known.mean()), float(low), float(high)
