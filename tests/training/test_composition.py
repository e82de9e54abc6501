"""What is counted when "apple on my bird" is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBase, write_stamps

from ovss_personal.benchmarks import stamps
from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.structures import Canvas, Proposals
from ovss_personal.training import composition


def test_only_the_parts_that_touch_are_kept() -> None:
    mask, owner = np.zeros((200, 200), bool), np.zeros((200, 200), bool)
    owner[50:100, 50:100] = True
    mask[40:49, 60:70] = True  # one pixel away
    mask[101:105, 60:70] = True  # one below
    mask[105:120, 60:70] = True  # of the same part
    mask[60:70, 103:110] = True  # three away; the limit is two
    kept = composition.touching_parts(mask, owner)
    assert kept[40:49, 60:70].all() and kept[101:120, 60:70].all() and not kept[:, 103:].any()
    assert not composition.touching_parts(mask, np.zeros_like(owner)).any()


def test_the_best_proposal_is_the_one_with_the_largest_iou() -> None:
    masks = torch.full((3, 4, 4), -9.0)
    masks[0] = 9.0
    masks[1, :2, :2] = 9.0
    masks[2, 2:, 2:] = 9.0
    seen = Proposals(masks, torch.zeros(3, 2), torch.zeros(2, 1, 1), Canvas((8, 8), (8, 8), (8, 8)))
    truth = np.zeros((8, 8), bool)
    truth[4:, 4:] = True
    assert [composition.best_proposal(seen, truth), composition.best_proposal(seen, truth[::-1, ::-1])] == [2, 1]


@pytest.mark.filterwarnings("ignore:the shot .* does not fit")  # of the made-up birds
def test_every_picture_is_asked_in_four_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "SIZE", 64)
    monkeypatch.setattr(composition, "THINGS", {"apple": "food/fruit/apple"})
    sources = Sources(write_stamps(tmp_path))
    results = list(composition.measure(FakeBase(extra_words=("other",)), sources, birds=2))
    assert [result.pictures for result in results] == [2, 2]
    for result in results:
        assert 0 <= result.ranked <= 2
        sizes = {(one.counts.tp + one.counts.fn, one.equal.tp + one.equal.fn) for one in result.found.values()}
        ((mine, equal),) = sizes
        assert mine == equal > 40
    rows = composition.table(results).splitlines()
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        "plain words",
        "phrase",
        "phrase, the plain word beside it",
        "plain words, by touch",
    ]
