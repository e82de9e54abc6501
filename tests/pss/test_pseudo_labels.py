from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ovss_personal.pss.album import grouped_photos, read_list
from ovss_personal.pss.methods import AdaptConfig
from ovss_personal.pss.pseudo_labels import EASY, HARD, make_pseudo_labels


def surer_where_brighter(images: Tensor) -> Tensor:
    """Class 5 everywhere, the surer the brighter the pixel."""
    logits = torch.zeros(len(images), 21, *images.shape[2:])
    logits[:, 5] = images.mean(1) + 3
    return logits


def test_the_surest_photos_are_easy(album: Path, tmp_path: Path) -> None:
    photos, out = grouped_photos(album), tmp_path / "out"
    easy = make_pseudo_labels(surer_where_brighter, photos, album, out, AdaptConfig(keep=0.5), side=48)
    assert len(easy) == 3
    assert {photo.name for photo in easy[:2]} == {"p2", "p5"}  # their squares are the brightest
    assert read_list(out / EASY, album, out) == easy
    hard = read_list(out / HARD, album, out)
    assert {photo.name for photo in [*easy, *hard]} == {f"p{i}" for i in range(6)}
    assert [photo.group for photo in easy] == [next(p.group for p in photos if p.name == e.name) for e in easy]
    labels = np.asarray(Image.open(easy[0].mask))
    assert labels.shape == (48, 56)
    assert (labels == 5).all()


@pytest.mark.parametrize("rule", ["intended", "compat"])
def test_the_surest_pixels_of_every_photo(album: Path, tmp_path: Path, rule: str) -> None:
    config = AdaptConfig(rule=rule, keep=0.2, per_pixel=True)
    easy = make_pseudo_labels(surer_where_brighter, grouped_photos(album), album, tmp_path, config, side=48)
    assert len(easy) == 6
    labels = np.asarray(Image.open(tmp_path / "color_masks/p5.png"))
    assert (labels == 5).mean() == pytest.approx(0.2, abs=0.02)
    assert set(np.unique(labels)) == {5, 255}
    assert (labels[10:30, 12:32] == 5).mean() > 0.9  # its bright square
