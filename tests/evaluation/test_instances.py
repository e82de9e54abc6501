"""How good a base is on instances, with a base that sees colours."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBase, photo

from ovss_personal.benchmarks.instances import Instance, InstanceSet, Photo, run_lengths
from ovss_personal.evaluation.instances import Measured, bands, facts, markdown, measure, top1_by_word
from ovss_personal.evaluation.proposals import best_ious
from ovss_personal.io.files import sha256_file
from ovss_personal.pixels.images import RGBImage
from ovss_personal.structures import BoolMask


def rectangle(rows: slice, columns: slice) -> BoolMask:
    mask = np.zeros((32, 32), bool)
    mask[rows, columns] = True
    return mask


SQUARE = rectangle(slice(8, 24), slice(8, 24))


def benchmark(root: Path, image: RGBImage, masks: dict[str, BoolMask], void: BoolMask | None = None) -> InstanceSet:
    """One photo whose instances are called by their words."""
    from PIL import Image

    Image.fromarray(image).save(root / "0.png")
    words = ("red", "green", "blue")
    instances = tuple(Instance(words.index(word), run_lengths(mask)) for word, mask in masks.items())
    one = Photo("0.png", sha256_file(root / "0.png"), (32, 32), instances, None if void is None else run_lengths(void))
    return InstanceSet("squares", words, (one,), root)


def test_an_instance_is_proposed_and_its_true_mask_is_named(tmp_path: Path) -> None:
    (one,) = measure(FakeBase(), benchmark(tmp_path, photo("blue"), {"blue": SQUARE}))
    assert one.word == one.named == 2 and one.best_iou > 0.7 and one.share == 0.25
    (wrong,) = measure(FakeBase(), benchmark(tmp_path, photo("blue"), {"red": SQUARE}))
    assert (wrong.word, wrong.named) == (0, 2)


def test_void_counts_for_nothing(tmp_path: Path) -> None:
    low = rectangle(slice(16, 32), slice(0, 32))
    upper = SQUARE & ~low
    masks = {"blue": SQUARE, "red": rectangle(slice(20, 22), slice(0, 4))}
    (half,) = measure(FakeBase(), benchmark(tmp_path, photo("blue"), masks, low))  # all of the red one is void
    assert half.share == upper.mean()
    (plain,) = measure(FakeBase(), benchmark(tmp_path, photo("blue"), {"blue": upper}))
    assert half.best_iou > 0.7 > plain.best_iou  # the proposal covers the lower half too


def test_the_best_iou_is_that_of_a_plain_count(monkeypatch: pytest.MonkeyPatch) -> None:
    base, truths = FakeBase(), torch.from_numpy(np.stack([SQUARE, rectangle(slice(0, 5), slice(3, 30))]))
    (proposals,) = base.propose([photo("red")])
    from ovss_personal.painting.grid import mask_rows

    masks = mask_rows(proposals.masks, proposals.canvas, 0, 32) > 0
    expected = [max(float((m & t).sum() / (m | t).sum()) for m in masks) for t in truths]
    assert best_ious(proposals, truths) == pytest.approx(expected)
    monkeypatch.setattr("ovss_personal.evaluation.proposals.AT_ONCE", 500)  # two rows at a time
    assert best_ious(proposals, truths) == pytest.approx(expected)


MEASURED = [
    Measured(0, 0.001, 0.2, 0),
    Measured(0, 0.004, 0.6, 1),
    Measured(0, 0.005, 0.5, 0),
    Measured(1, 0.2, 0.9, 1),
]


def test_instances_are_told_by_their_share_of_the_photo() -> None:
    small, middling, large, largest, every = bands(MEASURED)
    assert [band.instances for band in (small, middling, large, largest, every)] == [2, 1, 0, 1, 4]
    assert (small.best_iou, small.proposed, small.top1) == (0.4, 0.5, 0.5) and middling.proposed == 1.0
    assert math.isnan(large.best_iou) and every.top1 == 0.75
    assert top1_by_word(MEASURED) == pytest.approx((2 / 3 + 1) / 2)


def test_the_table_and_the_facts_say_the_same(tmp_path: Path) -> None:
    told = markdown(benchmark(tmp_path, photo("red"), {"red": SQUARE}), "fake", MEASURED)
    assert told.endswith("""
| share of the photo | instances | best proposal | proposed at 50 | top-1 word |
|---|---|---|---|---|
| under 0.5 % | 2 | 40.0 | 50.0 | 50.0 |
| 0.5 to 2 % | 1 | 50.0 | 100.0 | 100.0 |
| 2 to 10 % | 0 | – | – | – |
| over 10 % | 1 | 90.0 | 100.0 | 100.0 |
| all | 4 | 55.0 | 75.0 | 75.0 |

top-1 word, mean over 2 words: 83.3; 1 photos.
""")
    rows = facts(benchmark(tmp_path, photo("red"), {"red": SQUARE}), MEASURED)["bands"]
    assert rows[2]["best_iou"] is None and rows[4]["best_iou"] == pytest.approx(0.55)
