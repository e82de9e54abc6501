from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import write_stamps
from PIL import Image

from ovss_personal.benchmarks.composites.sources import Sources
from ovss_personal.training.identities import PICTURES, seen_anew, tilted, whitening
from ovss_personal.training.layouts import Masked
from ovss_personal.training.scenes import SceneMaker


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> SceneMaker:
    return SceneMaker(Sources(write_stamps(tmp_path_factory.mktemp("share"))), 96)


def test_whitening_makes_short_what_one_thing_differs_by() -> None:
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(60).repeat_interleave(4)
    things = torch.randn(60, 3, generator=generator)[owner]
    rows = things + torch.randn(240, 3, generator=generator) * torch.tensor([3.0, 0.3, 1.0])
    found = rows @ whitening(rows, owner, shrink=0.0)
    means = torch.stack([found[owner == i].mean(0) for i in range(60)])
    apart = found - means[owner]
    # (240 - 60) degrees of freedom.
    assert torch.allclose(apart.T @ apart / 180, torch.eye(3), atol=1e-4)
    lengths = (rows @ whitening(rows, owner, shrink=1.0)).std(0) / rows.std(0)
    assert torch.allclose(lengths, lengths[:1].expand(3), atol=1e-5)  # nothing but the scale of all is left


def test_things_that_were_seen_once_do_not_count() -> None:
    rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [90.0, 90.0], [0.0, 1.0], [0.0, 3.0]])
    owner = torch.tensor([0, 0, 1, 2, 2])
    without = torch.tensor([0, 1, 3, 4])
    assert torch.allclose(whitening(rows, owner), whitening(rows[without], owner[without]))
    with pytest.raises(ValueError, match="seen twice"):
        whitening(rows[2:4], owner[2:4])


def test_the_same_things_lie_in_several_pictures(maker: SceneMaker) -> None:
    pictures = list(seen_anew(maker, (), np.random.default_rng(0), groups=2, at_once=3))
    assert len(pictures) == 2 * PICTURES and all(image.shape == (96, 96, 3) for image, _ in pictures)
    first, second = ({n for _, masks in part for n in masks} for part in (pictures[:PICTURES], pictures[PICTURES:]))
    assert first <= {0, 1, 2} and second <= {3, 4, 5} and first and second
    for _, masks in pictures:
        assert all(mask.any() for mask in masks.values())
        assert not masks or np.sum(list(masks.values()), axis=0).max() == 1  # nothing is seen through another
    again = list(seen_anew(maker, (), np.random.default_rng(0), groups=2, at_once=3))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(pictures, again, strict=True))


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
