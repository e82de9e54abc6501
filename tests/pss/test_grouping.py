from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ovss_personal.engine.groups import best_group_count
from ovss_personal.errors import InputError, OvssWarning
from ovss_personal.pss.album import Photo
from ovss_personal.pss.grouping import check_group_count, group_photos


def clouds(groups: int, each: int) -> tuple[list[Photo], np.ndarray]:
    """Photos in turn from each of some well separated clouds of features."""
    rng = np.random.default_rng(0)
    centres = np.eye(groups) * 10
    features = np.concatenate([centres + rng.normal(0, 0.1, centres.shape) for _ in range(each)]).astype(np.float32)
    return [Photo(Path(f"{i}.jpg"), Path(f"{i}.png")) for i in range(len(features))], features


def test_photos_that_look_alike_share_a_group() -> None:
    photos, features = clouds(4, 5)
    grouped = group_photos(photos, features, 4)
    assert [photo.group for photo in grouped] == ["0", "1", "2", "3"] * 5
    assert [photo.image for photo in grouped] == [photo.image for photo in photos]


def test_the_number_of_groups_can_be_found() -> None:
    photos, features = clouds(4, 8)
    assert best_group_count(features) == 4
    assert len({photo.group for photo in group_photos(photos, features)}) == 4


def test_fewer_photos_than_groups() -> None:
    with pytest.raises(InputError, match="there are 79 photos, fewer than the 80 groups") as caught:
        check_group_count(79, 80)
    assert caught.value.hint is not None and "--groups 9" in caught.value.hint
    photos, features = clouds(2, 1)
    with pytest.raises(InputError, match="there are 2 photos, fewer than the 3 groups"):
        group_photos(photos, features, 3)
    with pytest.raises(InputError, match="2 photos are too few"):
        best_group_count(features)


def test_equal_photos_cannot_be_parted() -> None:
    photos, features = clouds(3, 1)
    with pytest.warns(OvssWarning, match="only 1 of 2 groups were formed"):
        grouped = group_photos(photos, np.zeros_like(features), 2)
    assert {photo.group for photo in grouped} == {"0"}
