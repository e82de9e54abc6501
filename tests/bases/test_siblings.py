from __future__ import annotations

import pytest

from ovss_personal.bases.siblings import sibling_names


@pytest.mark.parametrize(
    ("class_name", "among", "itself"),
    [
        ("mug", {"cup", "teapot", "coffeepot"}, "coffee mug"),
        ("mushroom", {"stinkhorn", "gyromitra"}, "mushroom"),
        ("shoe", {"clog", "sock"}, "running shoe"),
    ],
)
def test_siblings_are_near_and_not_the_thing_itself(class_name: str, among: set[str], itself: str) -> None:
    found = sibling_names(class_name)
    assert 30 < len(found) < 40 and len(set(found)) == len(found)
    assert among <= set(found) and itself not in found
    assert set(sibling_names(class_name, 5)) <= set(found[:5])
