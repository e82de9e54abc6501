from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ovss_personal.bases.embedded.decoder import MaskDecoder
from ovss_personal.bases.embedded.encoder import CHANNELS, STRIDES
from ovss_personal.training.scenes import VOID, Scene
from ovss_personal.training.targets import Batch, batch_of, mask_loss, middles, query_points, segment_at


def scene(segments: np.ndarray, taught: bool = False) -> Scene:
    return Scene(np.zeros((*segments.shape, 3), np.uint8), segments.astype(np.uint8), regions=1, taught=taught)


def test_heat_is_highest_in_the_middle_of_a_thing_and_higher_in_a_small_one() -> None:
    segments = np.zeros((128, 128))
    segments[8:72, 8:72], segments[96:112, 96:112], segments[:, 120:] = 1, 2, VOID
    heat = middles(scene(segments))
    assert np.unravel_index(heat.argmax(), heat.shape) in {(12, 12), (12, 13), (13, 12), (13, 13)}  # of the small one
    large = heat[:10, :10]
    assert large.argmax() == 4 * 10 + 4 and 0.7 < large.max() < heat.max()
    assert heat[0, 0] == 0 and (heat[:, 15] == -1).all()


def test_points_lie_in_the_picture_and_every_thing_can_be_asked_for() -> None:
    segments = np.zeros((64, 64))
    segments[60:, 60:], segments[:4] = 3, VOID
    batch = batch_of([scene(segments)])
    assert batch.taught[0, [0, 1, 3, VOID]].tolist() == [False, True, True, False]
    generator = torch.Generator().manual_seed(0)
    points = query_points(batch, generator)
    assert points.shape == (1, 100, 2) and points.min() >= 0 and points.max() <= 1
    assert (segment_at(batch.segments, points)[0, 64:] == 3).all()  # the ground is not taught
    ground = batch_of([scene(segments, taught=True)])
    assert set(segment_at(ground.segments, query_points(ground, generator))[0, 64:].tolist()) == {0, 3}


@pytest.fixture(scope="module")
def seen() -> tuple[MaskDecoder, list[torch.Tensor]]:
    torch.manual_seed(0)
    return MaskDecoder().eval(), [torch.randn(1, c, 64 // s, 64 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]


def loss_of(seen: tuple[MaskDecoder, list[torch.Tensor]], batch: Batch) -> float:
    points = query_points(batch, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float(mask_loss(*seen, replace(batch, heat=torch.full_like(batch.heat, -1)), points))


def test_what_nobody_knows_does_not_count(seen: tuple[MaskDecoder, list[torch.Tensor]]) -> None:
    """Nor does a photograph's ground: where nothing else is, there is no loss."""
    segments = np.zeros((64, 64))
    segments[16:48, 16:48] = 1
    known = loss_of(seen, batch_of([scene(segments)]))
    segments[16:48, 16:32] = VOID
    half = loss_of(seen, batch_of([scene(segments)]))
    assert known > 0 and half > 0 and known != half
    segments[:] = VOID
    assert loss_of(seen, batch_of([scene(segments)])) == 0
    segments[:] = 0
    assert loss_of(seen, batch_of([scene(segments)])) == 0


def test_the_decoder_s_own_points_are_taken_where_none_are_given(seen: tuple[MaskDecoder, list[torch.Tensor]]) -> None:
    segments = np.zeros((64, 64))
    segments[16:48, 16:48] = 1
    assert mask_loss(*seen, batch_of([scene(segments)]), None).item() > 0
