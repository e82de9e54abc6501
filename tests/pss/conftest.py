"""A small album and source of plain squares, and a network of a few thousand weights."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ovss_personal.pss.group_context import upsample
from ovss_personal.pss.network import _ENCODERS, STRIDE, NetworkConfig, Output


def write_photos(root: Path, count: int = 6, side: int = 48, groups: int = 2) -> Path:
    """Photos of a square of class 1 to 3 with its mask; lists of groups and of annotated photos."""
    rng = np.random.default_rng(count)
    for folder in ("JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    lines = []
    for number in range(count):
        kind = 1 + number % 3
        image = rng.integers(0, 60, (side, side + 8, 3), np.uint8)
        labels = np.zeros((side, side + 8), np.uint8)
        image[8:32, 10:34], labels[8:32, 10:34] = 80 * kind, kind
        Image.fromarray(image).save(root / f"JPEGImages/p{number}.jpg", quality=95)
        Image.fromarray(labels).save(root / f"SegmentationClass/p{number}.png")
        lines.append(f"/JPEGImages/p{number}.jpg /SegmentationClass/p{number}.png {number % groups}\n")
    (root / f"train_cluster{groups}.txt").write_text("".join(lines))
    (root / "val_all.txt").write_text("".join(lines))
    return root


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "album")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "source", 8)


class TinySegmenter(nn.Module):
    """What the trainer and evaluation ask of a network, without an encoder."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig("lite2")
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.ReLU())
        self.main, self.aux = nn.Conv2d(8, 21, 1), nn.Conv2d(8, 21, 1)
        self.drop = nn.Dropout2d(0.2)

    def forward(self, images: Tensor) -> Output:
        hidden = self.drop(self.stem(images))
        coarse = self.main(hidden)
        return Output(upsample(coarse, 8), upsample(self.aux(hidden), 8), coarse, hidden)


@pytest.fixture
def tiny() -> TinySegmenter:
    torch.manual_seed(3)
    return TinySegmenter()


@pytest.fixture
def small_lite2(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of lite2, an encoder of two layers that gives features at the same stride."""

    def small(imagenet: bool) -> tuple[nn.Module, nn.Module, tuple[int, int, int]]:
        layer4 = nn.Sequential(OrderedDict(conv_pw=nn.Conv2d(8, 16, 1)))  # the name that tells lite2's checkpoints
        base = nn.Sequential(nn.Conv2d(3, 8, STRIDE, STRIDE), nn.BatchNorm2d(8), nn.ReLU())
        return base, nn.Sequential(nn.Sequential(layer4)), (8, 16, 16)

    monkeypatch.setitem(_ENCODERS, "lite2", small)
