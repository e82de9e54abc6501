from __future__ import annotations

import numpy as np
import pytest

from ovss_personal.errors import VocabularyError
from ovss_personal.painting.segmentation import Segmentation


@pytest.fixture
def found() -> Segmentation:
    """4 x 5: the left two columns are tree, one pixel is mine, the rest is grass; no sky."""
    labels = np.full((4, 5), 1, np.int32)
    labels[:, :2] = 0
    labels[3, 4] = 3
    return Segmentation(
        labels=labels,
        words=("tree", "grass", "sky", "my mug"),
        scores=(0.9, 0.8, 0.1, 0.6),
        concepts=("my mug",),
        image=np.zeros((4, 5, 3), np.uint8),
    )


def test_mask_area_and_score_of_a_word(found: Segmentation) -> None:
    assert found.mask("tree").tolist() == [[True, True, False, False, False]] * 4
    assert found.mask("tree").dtype == bool
    assert found.area("tree") == 8 / 20 and found.area("my mug") == 1 / 20 and found.area("sky") == 0
    assert found.score("my mug") == 0.6


def test_presence_is_a_matter_of_area(found: Segmentation) -> None:
    assert found.present("my mug") and not found.present("sky")
    assert not found.present("my mug", min_area=0.06)


def test_areas_cost_one_pass_over_the_image(found: Segmentation, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    count = np.bincount
    monkeypatch.setattr(np, "bincount", lambda *args, **options: passes.append(0) or count(*args, **options))
    assert [found.area(word) for word in found.words] == [found.mask(word).mean() for word in found.words]
    assert [found.present(word) for word in found.words] == [True, True, False, True]
    assert len(passes) == 1


@pytest.mark.parametrize("method", ["mask", "area", "score", "present"])
def test_an_unknown_word_is_named_with_those_there_are(found: Segmentation, method: str) -> None:
    with pytest.raises(VocabularyError, match=r"'mug' is not among .* tree, grass, sky, my mug") as caught:
        getattr(found, method)("mug")
    assert caught.value.exit_code == 3


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under numpy 2
def test_coco_annotations_hold_the_masks(found: Segmentation) -> None:
    from pycocotools import mask as coco_mask

    annotations = found.to_coco()
    assert [a["category"] for a in annotations] == ["tree", "grass", "my mug"]  # no sky
    for annotation in annotations:
        assert isinstance(annotation["segmentation"]["counts"], str)  # JSON has no bytes
        decoded = coco_mask.decode(annotation["segmentation"]).astype(bool)
        assert np.array_equal(decoded, found.mask(annotation["category"]))
    assert annotations[0]["area"] == 8 and annotations[0]["bbox"] == [0.0, 0.0, 2.0, 4.0]
    assert annotations[2]["bbox"] == [4.0, 3.0, 1.0, 1.0] and annotations[2]["score"] == 0.6


def test_an_overlay_is_a_picture(found: Segmentation) -> None:
    picture = found.overlay()
    assert picture.mode == "RGB" and picture.width >= 5
