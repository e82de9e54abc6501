from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.fit import Example
from ovss_personal.personal.report import outliers, shot_iou, strangers, threshold_by_views, tuned_threshold
from ovss_personal.structures import Canvas, Proposals

LEFT = torch.tensor([[9.0, -9.0], [9.0, -9.0]])


def seen(mask: list[list[bool]]) -> tuple[Example, ScoredProposals]:
    """A 2 x 2 picture whose only concept takes the left column."""
    masks = torch.stack((LEFT, -LEFT))
    canvas = Canvas((2, 2), (2, 2), (2, 2))
    proposals = Proposals(masks, torch.eye(2), torch.zeros(2, 2, 2), canvas)
    personal = torch.tensor([[0.9], [0.1]])
    return Example(proposals, np.array(mask)), ScoredProposals(masks, 1 - personal, personal, (0.5,))


@pytest.mark.parametrize(
    ("mask", "iou"),
    [
        ([[True, False], [True, False]], 1.0),
        ([[True, False], [False, False]], 1 / 2),
        ([[True, True], [False, False]], 1 / 3),
        ([[False, True], [False, True]], 0.0),
    ],
)
def test_iou_of_what_is_found_with_the_mask(mask: list[list[bool]], iou: float) -> None:
    shot, scored = seen(mask)
    assert shot_iou(shot, scored) == pytest.approx(iou)


def test_ignored_cells_count_neither_way() -> None:
    shot, scored = seen([[True, False], [False, False]])
    below = np.array([[False, False], [True, True]])
    assert shot_iou(replace(shot, ignore=below), scored) == 1.0


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        # Shares are `right` on the object and `wrong` beside it: every threshold between them finds it exactly.
        (0.62, 0.33, (0.4 * (0.35 * 0.4 * 0.45 * 0.5 * 0.55 * 0.6) ** (1 / 6)) ** 0.5),
        (0.09, 0.01, (0.4 * (0.05 * 0.075) ** 0.5) ** 0.5),
    ],
)
def test_the_threshold_moves_half_way_to_what_left_out_shots_ask(right: float, wrong: float, expected: float) -> None:
    shot, scored = seen([[True, False], [True, False]])
    alone = replace(scored, personal=torch.tensor([[right], [wrong]]))
    assert tuned_threshold([shot, shot], [alone, alone], 0.4, 0.4) == pytest.approx(expected, abs=1e-3)


def test_what_one_shot_fewer_asks_is_less_than_what_all_ask() -> None:
    shot, scored = seen([[True, False], [True, False]])
    alone = replace(scored, personal=torch.tensor([[0.09], [0.01]]))
    found = tuned_threshold([shot, shot], [alone, alone], default=0.2, of_fewer=0.05)
    assert found == pytest.approx((0.2 * 4 * (0.05 * 0.075) ** 0.5) ** 0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("ious", "expected"),
    [
        ([0.9], [False]),
        ([0.9, 0.1], [False, False]),  # of two, who is to say which is the odd one
        ([0.9, 0.8, 0.1], [False, False, True]),
        ([0.9, 0.8, 0.6], [False, False, False]),
        ([0.1, 0.1, 0.1, 0.9], [False, False, False, False]),
    ],
)
def test_an_outlier_lies_far_below_the_median_of_the_others(ious: list[float], expected: list[bool]) -> None:
    assert outliers(ious) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.55, 0.12), (0.25, 0.06), (0.0, 0.01), (1.0, 0.2)])
def test_what_is_hardly_found_in_its_own_views_has_a_low_threshold(share: float, expected: float) -> None:
    shot, scored = seen([[True, False], [True, False]])
    alone = replace(scored, personal=torch.tensor([[share], [0.0]]))
    assert threshold_by_views([shot, shot], [alone, alone], 0.12) == pytest.approx(expected, abs=2e-3)


def looks(*angles: float) -> list[torch.Tensor]:
    """(2,) each, of any length, in these directions in degrees."""
    return [
        torch.tensor([math.cos(math.radians(a)), math.sin(math.radians(a))]) * (1 + i) for i, a in enumerate(angles)
    ]


@pytest.mark.parametrize(
    ("angles", "groups"),
    [
        ((0, 10, 20, 30), []),
        ((0, 40, 80, 120), []),  # a chain
        ((0, 90, 5, 95), [[0, 2], [1, 3]]),
        ((0, 10, 100, 110, 200, 210, 20), [[0, 1, 6], [2, 3], [4, 5]]),
        ((0, 5, 10, 90), []),  # one that fits no other is an outlier
        ((0, 90, 180), []),
        ((0,), []),
    ],
)
def test_shots_of_different_things(angles: tuple[float, ...], groups: list[list[int]]) -> None:
    assert strangers(looks(*angles), [0.9] * len(angles), [0.8] * len(angles)) == groups


def test_shots_none_of_which_finds_another() -> None:
    assert strangers(looks(0, 90), [0.9, 0.8], [0.05, 0.0]) == [[0], [1]]
    assert strangers(looks(0, 90), [0.9, 0.3], [0.05, 0.0]) == []  # nor is it found by what itself teaches
    assert strangers(looks(0, 90), [0.9, 0.8], [0.05, 0.2]) == []
    assert strangers(looks(0), [0.9], [0.0]) == []
