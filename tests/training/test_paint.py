"""Paint: what is drawn is whole, comes from its generator alone, and keeps to its colours."""

from __future__ import annotations

import numpy as np
import pytest

from ovss_personal.training.paint import _bands, made_up, palette, pattern, plain, recolour, vessel

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_things_fill_their_box_and_come_from_their_generator_alone(seed: int) -> None:
    for draw in (made_up, lambda rng, size: vessel(rng, size, palette(rng))):
        thing = draw(np.random.default_rng(seed), 96)
        assert np.array_equal(thing, draw(np.random.default_rng(seed), 96))
        opaque = thing[..., 3] == 255
        assert set(np.unique(thing[..., 3])) <= {0, 255} and 0.2 < opaque.mean() < 1
        for edge in (opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]):
            assert edge.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_bands_differ_from_their_neighbours_and_use_no_other_colour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colours = palette(rng)
    v, u = np.mgrid[:128, :128].astype(np.float32) / 128
    painted = _bands(rng, u, v, colours)
    named = (painted[..., None, :] == np.stack(colours)).all(-1)  # (128, 128, colours)
    assert named.any(-1).all()
    assert len(np.unique(named.argmax(-1))) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_another_paint_keeps_the_outline(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cutout = vessel(rng, 64, palette(rng))
    painted = recolour(rng, cutout)
    assert np.array_equal(painted[..., 3], cutout[..., 3])
    assert not np.array_equal(painted[..., :3], cutout[..., :3])


def test_walls_are_plainer_than_patterns() -> None:
    def spread(draw: object) -> float:
        pictures = [draw(np.random.default_rng(seed), 64) for seed in SEEDS]  # type: ignore[operator]
        return float(np.mean([np.abs(np.diff(p.astype(np.float32), axis=1)).mean() for p in pictures]))

    assert 2 * spread(plain) < spread(pattern)
