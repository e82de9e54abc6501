"""Scores, batches, stretching and the whole evaluation loop against the published ones."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity.pss import Goldens
from PIL import Image
from torch import Tensor

from ovss_personal.pss.album import group_batches, read_list
from ovss_personal.pss.classes import MEAN, STD
from ovss_personal.pss.evaluate import evaluate_album, predict_album
from ovss_personal.pss.pixels import evaluation_size, nearest, normalised, resized
from ovss_personal.pss.scores import Tally, class_iou, foreground_iou, histogram

GOLDENS = Goldens("eval")


def test_scores() -> None:
    truth, prediction = GOLDENS.array("gt"), GOLDENS.array("pred")
    counts = histogram(truth, prediction)
    assert (counts == GOLDENS.array("hist")).all()
    np.testing.assert_allclose(class_iou(counts), GOLDENS.array("iou_per_class"), rtol=0, atol=1e-12)
    tally = Tally()
    for name, photo in (("a", 0), ("b", 1)):
        tally.add(name, truth[photo], prediction[photo])
    scores = tally.scores()
    assert scores.miou == pytest.approx(float(GOLDENS.array("miou")), abs=1e-12)
    assert scores.fiou == pytest.approx(float(GOLDENS.array("fiou")), abs=1e-12)
    assert scores.clean_miou == pytest.approx(float(GOLDENS.array("own_miou_present_only")), abs=1e-12)
    assert list(scores.photo_iou.values()) == pytest.approx(GOLDENS.array("fg_iou_per_image").tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "truth", "prediction"),
    [("fg_iou_empty_empty", 0, 0), ("fg_iou_pred_only", 0, 3), ("fg_iou_gt_all_255_pred_bg", 255, 0)],
)
def test_scores_of_photos_without_foreground(name: str, truth: int, prediction: int) -> None:
    found = foreground_iou(np.full((4, 5), truth), np.full((4, 5), prediction))
    assert found == float(GOLDENS.array(name))


def test_the_order_of_the_batches() -> None:
    rows = [line.split() for line in GOLDENS.array("batch_list_lines")]
    batches = group_batches([group for _, _, group in rows], random.Random(1))
    names = [[Path(rows[index][0]).stem for index in batch] for batch in batches]
    golden = [[Path(name).stem for name in batch] for batch in GOLDENS.array("batch_infer_order")]
    assert names == golden


def test_a_batch_is_stretched_to_one_size() -> None:
    images = [GOLDENS.array("collate_im1"), GOLDENS.array("collate_im2")]
    size = evaluation_size([image.shape[:2] for image in images])
    batch = normalised([resized(image, size) for image in images])
    assert tuple(batch.shape) == tuple(GOLDENS.array("collate_out_shape"))
    difference = (batch[..., ::37, ::41] - GOLDENS["collate_out_sub"]).abs().max()
    assert difference < 0.02
    labels = nearest(GOLDENS.array("collate_lb1"), size)
    assert (labels[::37, ::41] == GOLDENS.array("collate_lb_sub")[0]).all()


def stub(images: Tensor) -> Tensor:
    """Logits that say how bright a pixel is, in 21 steps, on sides rounded up to multiples of 8."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    value = 20 * (images * std + mean).mean(1, keepdim=True)
    logits = -(value - torch.arange(21)[:, None, None]).abs()
    size = [-(-side // 8) * 8 for side in images.shape[2:]]
    return F.interpolate(logits, size, mode="bilinear", align_corners=True)


def test_the_whole_evaluation(tmp_path: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    for name in "abcde":
        # Lossless under the suffix that the list has; what a file is, its bytes say.
        image = Image.fromarray(GOLDENS.array(f"ev_img_{name}"))
        image.save(tmp_path / f"JPEGImages/{name}.jpg", format="PNG")
    for name in GOLDENS.array("ev_labelled"):
        Image.fromarray(GOLDENS.array(f"ev_gt_{name}")).save(tmp_path / f"SegmentationClass/{name}.png")
    (tmp_path / "list.txt").write_text("\n".join(GOLDENS.array("ev_list_lines")))
    photos = read_list(tmp_path / "list.txt", tmp_path)
    truth = [photo for photo in photos if photo.name in GOLDENS.array("ev_labelled")]

    scores = evaluate_album(stub, photos, truth)
    assert scores.fiou == pytest.approx(float(GOLDENS.array("ev_fiou")), abs=1e-3)
    assert scores.miou == pytest.approx(float(GOLDENS.array("ev_miou")), abs=1e-3)
    np.testing.assert_allclose(scores.class_iou, GOLDENS.array("ev_iou_per_class"), rtol=0, atol=1e-3)
    golden = dict(zip(GOLDENS.array("ev_names"), GOLDENS.array("ev_fg_iou"), strict=True))
    assert scores.photo_iou == pytest.approx(golden, abs=1e-3)
    for found in predict_album(stub, photos):
        saved = GOLDENS.array(f"ev_saved_pred_{found.photo.name}")
        assert (found.labels(found.size) != saved).mean() < 1e-3
