"""An album and the concepts learned from it, made once; the real base, loaded once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from corpus import write_mask, write_photo
from end_to_end.commands import run
from PIL import Image, ImageDraw

from ovss_personal import bases
from ovss_personal.bases import load_base

WIDTH, HEIGHT = 128, 96
BALL, BOX = (225, 70, 30), (40, 70, 220)
load_once = functools.cache(load_base)


@pytest.fixture(autouse=True, scope="session")
def one_base() -> Iterator[None]:
    """Every command gets the same base object for the same options, as loading one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bases, "load_base", load_once)
        yield


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ball/` and `box/` with two shots each, and `photos/` with three pictures: ball, box, and both."""
    root = tmp_path_factory.mktemp("album")
    for name, draw, places in (
        ("ball", draw_ball, ((60, 48, 26), (70, 50, 30))),
        ("box", draw_box, ((50, 40, 24), (80, 52, 28))),
    ):
        for number, place in enumerate(places, start=1):
            pixels = ground(seed=number)
            mask = draw(pixels, place)
            write_photo(root / name / "images" / f"{number}.png", pixels)
            write_mask(root / name / "masks" / f"{number}.png", mask)
    for number, name in enumerate(("ball", "box", "both"), start=7):
        pixels = ground(seed=number)
        if name != "box":
            draw_ball(pixels, (32, 40, 22))
        if name != "ball":
            draw_box(pixels, (94, 54, 24))
        write_photo(root / "photos" / f"{name}.png", pixels)
    return root


@pytest.fixture(scope="session")
def ball(album: Path) -> Path:
    return learn(album, "ball", "orange")


@pytest.fixture(scope="session")
def box(album: Path) -> Path:
    return learn(album, "box", "crate")


def learn(album: Path, name: str, class_name: str) -> Path:
    """The folder of "my `name`"."""
    folder = album / "concepts" / name
    what = ("--concept", f"my {name}", "--class-name", class_name, "--images", str(album / name))
    run("personalize", *what, "--out", str(folder), "--iterations", "40", "--no-cache")
    return folder


def ground(seed: int) -> np.ndarray:
    """(96, 128, 3) uint8: something like grass."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = np.stack([90 + 20 * np.sin(columns / 9 + seed), 140 + 15 * np.cos(rows / 7), 70 + 0 * rows], axis=2)
    grain = np.random.default_rng(seed).normal(0, 6, waves.shape)
    return (waves + grain).clip(0, 255).astype(np.uint8)


def draw_ball(pixels: np.ndarray, place: tuple[int, int, int]) -> np.ndarray:
    """Draws into `pixels` around (x, y) with a radius; returns the mask (96, 128)."""
    x, y, radius = place
    mask = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
    pixels[np.asarray(mask)] = BALL
    return np.asarray(mask)


def draw_box(pixels: np.ndarray, place: tuple[int, int, int]) -> np.ndarray:
    x, y, half = place
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y - half : y + half, x - half : x + half] = True
    pixels[mask] = BOX
    return mask
