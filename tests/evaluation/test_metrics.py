"""The streaming confusion matrix against torchmetrics, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.classification import MulticlassJaccardIndex

from ovss_personal.evaluation.metrics import Confusion, PersonalCounts, mean_and_interval

WORDS = 5
LABELS = arrays(np.int64, (4, 6, 7), elements=st.integers(0, WORDS - 1))
TRUTHS = arrays(np.int64, (4, 6, 7), elements=st.integers(-1, WORDS - 1))


@given(LABELS, TRUTHS)
def test_iou_is_torchmetrics(found: np.ndarray, truth: np.ndarray) -> None:
    ours = Confusion(WORDS)
    ours.add(found, truth)
    theirs = MulticlassJaccardIndex(WORDS, average="none", ignore_index=-1)
    expected = theirs(torch.from_numpy(found), torch.from_numpy(truth)).numpy()
    assert np.allclose(np.nan_to_num(ours.iou()), expected)
    present = np.isin(np.arange(WORDS), truth)
    mean = ours.mean_iou()
    assert math.isnan(mean) if not present.any() else math.isclose(mean, expected[present].mean(), abs_tol=1e-6)


@given(LABELS, TRUTHS, st.permutations(range(4)), st.integers(0, 4))
def test_order_batching_and_merging_change_nothing(
    found: np.ndarray, truth: np.ndarray, order: list[int], cut: int
) -> None:
    whole, one_by_one, first, second = (Confusion(WORDS) for _ in range(4))
    whole.add(found, truth)
    for index in order:
        one_by_one.add(found[index], truth[index])
    first.add(found[:cut], truth[:cut])
    second.add(found[cut:], truth[cut:])
    first.merge(second)
    assert (whole.counts == one_by_one.counts).all() and (whole.counts == first.counts).all()


@given(LABELS, TRUTHS)
def test_pairs_count_as_masks_do(found: np.ndarray, truth: np.ndarray) -> None:
    by_mask, by_pairs, confusion = PersonalCounts(), PersonalCounts(), Confusion(WORDS)
    for labels, true in zip(found, truth, strict=True):
        by_mask.add(labels == 3, true == 3)
        by_pairs.add_pairs(confusion.add(labels, true), 3)
    assert (by_mask.tp, by_mask.fp, by_mask.fn) == (by_pairs.tp, by_pairs.fp, by_pairs.fn)
    assert by_mask.ious == by_pairs.ious and by_mask.false_alarms == by_pairs.false_alarms
    assert by_mask.negatives + len(by_mask.ious) == len(found)


def square(*rows: int) -> np.ndarray:
    """(20, 20) bool, true in these rows' first ten columns: 10 of 400 pixels each."""
    mask = np.zeros((20, 20), bool)
    mask[list(rows), :10] = True
    return mask


def counted(found: np.ndarray, truth: np.ndarray, proposed: float) -> PersonalCounts:
    counts = PersonalCounts()
    counts.add_pairs(Confusion(2).add(found.astype(int), truth.astype(int)), 1, proposed)
    return counts


def test_photos_count_alike_however_large_the_object_is() -> None:
    counts = PersonalCounts()
    counts.add(square(0), square(0))
    counts.add(square(), square(*range(1, 10)))
    counts.add(square(3), square())  # a negative
    assert counts.photo_iou == 0.5 and counts.iou == 10 / 110
    assert (
        math.isnan(counts.best_proposal) and math.isnan(counts.missed_rate) and math.isnan(PersonalCounts().photo_iou)
    )


def test_missed_is_what_was_proposed_and_nothing_called() -> None:
    truth, little = square(0, 1), square()
    little[0, :3] = True  # hits, in less than 1 % of the picture
    for found, proposed, missed in (
        (square(), 0.5, 1.0),
        (square(), 0.49, 0.0),  # nobody could have found it
        (square(7, 8), 0.9, 1.0),  # elsewhere
        (little, 0.9, 1.0),
        (square(0), 0.9, 0.0),
    ):
        assert counted(found, truth, proposed).missed_rate == missed
    assert counted(little, little, 0.9).missed_rate == 0.0  # all of a small object
    assert counted(little, truth, 0.9).best_proposal == 0.9


def test_an_interval_holds_its_mean_and_narrows() -> None:
    few, many = [0.2, 0.6, math.nan, 0.7], [0.2, 0.6, 0.7] * 20
    mean, low, high = mean_and_interval(few)
    assert mean == pytest.approx(0.5) and 0.2 <= low < mean < high <= 0.7
    assert mean_and_interval(few) == (mean, low, high)
    _, low_of_many, high_of_many = mean_and_interval(many)
    assert low < low_of_many and high_of_many < high
    assert all(math.isnan(value) for value in mean_and_interval([math.nan]))
