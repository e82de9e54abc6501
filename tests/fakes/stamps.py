"""What the Debian packages unpack to, in miniature: a few drawn cut-outs, every background as plain noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ovss_personal.benchmarks.composites.sources import (
    SHOT_BACKGROUNDS,
    STAMPS,
    TEST_BACKGROUNDS,
    TRAIN_ABSTRACT,
    TRAIN_BACKGROUNDS,
)

# Path below the stamps folder -> first line of its .txt.
NAMES = {
    "animals/birds/owl": "An owl.",
    "animals/birds/robin": "A robin (Erithacus rubecula).",
    "animals/birds/duck": "A duck.",
    "animals/dog": "A dog.",
    "food/fruit/apple": "An apple!",
    "hobbies/camera": "A camera.",
    "household/dishes/cup": "A cup.",
    "symbols/arrow": "An arrow.",
}


def write_stamps(root: Path) -> Path:
    """Write the tree below `root`, which is returned."""
    for number, (name, text) in enumerate(NAMES.items()):
        path = root / STAMPS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _cutout(number).save(path)
        path.with_suffix(".txt").write_text(f"{text}\nEin anderer Text.\n", "utf-8")
    for name in (*TRAIN_BACKGROUNDS, *TRAIN_ABSTRACT, *SHOT_BACKGROUNDS, *TEST_BACKGROUNDS):
        if name.startswith("wallpapers/"):
            _noise(name).save(_made(root / name / "contents" / "images" / "1600x1200.png"))
        elif name.startswith("backgrounds/"):
            _noise(name).save(_made(root / name))
    return root


def _cutout(number: int) -> Image.Image:
    picture = Image.new("RGBA", (60, 50))
    colour = (40 * number % 256, 200 - 20 * number, 90, 255)
    ImageDraw.Draw(picture).ellipse((5, 5, 54, 44), fill=colour)
    return picture


def _noise(name: str) -> Image.Image:
    rng = np.random.default_rng(list(name.encode()))
    return Image.fromarray(rng.integers(0, 256, (96, 128, 3), np.uint8))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
