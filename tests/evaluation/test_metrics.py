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
    assert by_mask == by_pairs


def test_an_interval_holds_its_mean_and_narrows() -> None:
    few, many = [0.2, 0.6, math.nan, 0.7], [0.2, 0.6, 0.7] * 20
    mean, low, high = mean_and_interval(few)
    assert mean == pytest.approx(0.5) and 0.2 <= low < mean < high <= 0.7
    assert mean_and_interval(few) == (mean, low, high)
    _, low_of_many, high_of_many = mean_and_interval(many)
    assert low < low_of_many and high_of_many < high
    assert all(math.isnan(value) for value in mean_and_interval([math.nan]))
