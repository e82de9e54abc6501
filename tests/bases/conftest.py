"""What is heavy to load is loaded once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ovss_personal.bases.embedded.base import EmbeddedBase
from ovss_personal.bases.embedded.files import WEIGHTS
from ovss_personal.structures import Proposals, RGBImage


@pytest.fixture(scope="session")
def embedded() -> EmbeddedBase:
    return EmbeddedBase()


@pytest.fixture(scope="session")
def picture() -> RGBImage:
    """(120, 160, 3): a red ball on a green slope."""
    image = Image.new("RGB", (160, 120), (90, 140, 70))
    draw = ImageDraw.Draw(image)
    draw.polygon(((0, 60), (160, 30), (160, 0), (0, 0)), fill=(150, 190, 230))
    draw.ellipse((50, 40, 100, 90), fill=(210, 40, 40))
    return np.asarray(image)


@pytest.fixture(scope="session")
def seen(embedded: EmbeddedBase, picture: RGBImage) -> Proposals:
    return embedded.propose([picture])[0]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of what we trained of the shipped weights, to be damaged."""
    (tmp_path / "weights").mkdir()
    for name in ("calibration", "class_texts", "decoder"):
        shutil.copy(WEIGHTS / f"{name}.safetensors", tmp_path / "weights")
    return tmp_path / "weights"
