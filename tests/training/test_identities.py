from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import write_stamps
from PIL import Image

from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.training.identities import (
    CHANNELS,
    COPIES,
    PICTURES,
    TEMPERATURE,
    THINGS,
    bent,
    contrastive_loss,
    identity_map,
    repainted,
    seen_anew,
    tilted,
)
from ovss_personal.training.layouts import Masked
from ovss_personal.training.scenes import SceneMaker

TOGETHER = THINGS + COPIES


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> SceneMaker:
    return SceneMaker(Sources(write_stamps(tmp_path_factory.mktemp("share"))), 96)


def test_the_map_keeps_what_tells_one_thing_from_its_copies() -> None:
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(20 * TOGETHER).repeat_interleave(4)
    things = torch.randn(20 * TOGETHER, 6, generator=generator)
    things[:, 3:] = things[::TOGETHER, 3:].repeat_interleave(TOGETHER, 0)  # the shape: the same within a group
    rows = things[owner] + torch.randn(len(owner), 6, generator=generator) * torch.tensor([3.0, 0.1, 0.1] * 2)
    with torch.no_grad():  # as it is called
        found = identity_map(rows, owner, steps=300)
    assert found.shape == (6, CHANNELS) and not found.requires_grad
    assert torch.equal(found, identity_map(rows, owner, steps=300))
    lengths = found.norm(dim=1) * rows.std(0)
    assert lengths[[1, 2, 4, 5]].min() > 2 * lengths[[0, 3]].max()
    mapped = torch.nn.functional.normalize((rows - rows.mean(0)) @ found, dim=1)
    cosine, same = mapped @ mapped.T, owner[:, None] == owner
    copies = (owner[:, None] // TOGETHER == owner // TOGETHER) & ~same
    assert cosine[same].mean() > 0.9 and cosine[copies].mean() < 0.5


def test_the_contrastive_loss_by_hand() -> None:
    rows, owner = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8]]), torch.tensor([4, 4, 9])
    # The first two have a cosine of .8; the third, which has no second, .6 and 0 with them.
    expected = [math.log(1 + math.exp((other - 0.8) / TEMPERATURE)) for other in (0.6, 0.0)]
    assert contrastive_loss(rows, owner).item() == pytest.approx(sum(expected) / 2, rel=1e-5)


def test_things_that_were_seen_once_teach_nothing() -> None:
    with pytest.raises(ValueError, match="seen twice"):
        identity_map(torch.eye(3), torch.arange(3))


def test_the_same_things_lie_in_several_pictures(maker: SceneMaker) -> None:
    pictures = list(seen_anew(maker, (), np.random.default_rng(0), groups=2))
    assert len(pictures) == 2 * PICTURES and all(image.shape == (96, 96, 3) for image, _ in pictures)
    first, second = ({n for _, masks in part for n in masks} for part in (pictures[:PICTURES], pictures[PICTURES:]))
    assert first <= set(range(TOGETHER)) and second <= set(range(TOGETHER, 2 * TOGETHER)) and first and second
    for _, masks in pictures:
        assert all(mask.any() for mask in masks.values())
        assert not masks or np.sum(list(masks.values()), axis=0).max() == 1  # nothing is seen through another
    again = list(seen_anew(maker, (), np.random.default_rng(0), groups=2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(pictures, again, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_a_repainted_thing_has_its_shape_and_other_colours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cutout = np.zeros((40, 30, 4), np.uint8)
    cutout[5:35, 5:25] = (120, 120, 120, 255)  # of no hue that could be turned
    cutout[5:20, 5:25, :3] = (200, 60, 40)
    other = rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    found = repainted(cutout, other, rng)
    assert found.shape == cutout.shape and np.array_equal(found[..., 3], cutout[..., 3])
    inside = cutout[..., 3] > 0
    change = np.abs(found[..., :3].astype(int) - cutout[..., :3])[inside].max(-1)
    assert (change > 12).mean() > 0.15


def test_things_and_grounds_are_those_of_the_photos(tmp_path: Path, maker: SceneMaker) -> None:
    image, mask = np.full((60, 60, 3), (20, 200, 20), np.uint8), np.zeros((60, 60), np.uint8)
    mask[10:50, 10:50] = 1
    image[mask > 0] = (200, 20, 20)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    photos = [Masked(tmp_path / "a.png", tmp_path / "a_mask.png")]
    drawn = [
        picture[mask].mean(0)
        for picture, masks in seen_anew(maker, photos, np.random.default_rng(0), groups=1)
        for mask in masks.values()
    ]
    red = [colour for colour in drawn if colour[0] > 2 * colour[1]]
    assert len(red) > len(drawn) / 2  # the rest are the maker's cut-outs


def test_a_tilted_thing_is_the_same_thing() -> None:
    cutout = np.zeros((80, 60, 4), np.uint8)
    cutout[10:70, 10:50] = (200, 100, 50, 255)
    found = tilted(cutout, np.random.default_rng(0))
    assert found.shape == cutout.shape and not np.array_equal(found, cutout)
    area = (found[..., 3] > 127).mean()
    assert 0.25 < area < 0.75 and np.array_equal(found[40, 30], cutout[40, 30])


def test_a_bent_thing_is_the_same_thing() -> None:
    cutout = np.zeros((80, 60, 4), np.uint8)
    cutout[10:70, 10:50] = (200, 100, 50, 255)
    found = bent(cutout, np.random.default_rng(0))
    assert found.shape == cutout.shape and not np.array_equal(found, cutout)
    both, either = (found[..., 3] > 127) & (cutout[..., 3] > 127), (found[..., 3] > 127) | (cutout[..., 3] > 127)
    assert 0.7 < both.sum() / either.sum() < 1 and np.array_equal(found[40, 30], cutout[40, 30])
