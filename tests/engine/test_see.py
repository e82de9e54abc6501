"""What a base saw: once an image, whoever asks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeBase, photo
from fakes.base import reds

from ovss_personal.engine.find import segment
from ovss_personal.engine.see import proposals_key, propose, see, see_shots
from ovss_personal.errors import OvssWarning
from ovss_personal.pixels.images import at_most
from ovss_personal.store.cache import ProposalCache


def test_the_cache_spares_the_base(tmp_path: Path) -> None:
    base, cache = FakeBase(), ProposalCache(tmp_path)
    first = segment(base, photo("red"), words=["tree"], cache=cache)
    again = segment(base, photo("red"), words=["tree"], cache=cache)
    assert base.looks == 1 and np.array_equal(first.labels, again.labels) and first.scores == again.scores
    # As many bytes, but another shape: another image.
    segment(base, photo("red").reshape(16, 64, 3), words=["tree"], cache=cache)
    assert base.looks == 2


def test_it_makes_no_difference_whether_what_was_seen_comes_from_a_cache(base: FakeBase, tmp_path: Path) -> None:
    image, cache = photo("red", noise=3), ProposalCache(tmp_path)
    plain, first, again = (propose(base, image, kept).masks for kept in (None, cache, cache))
    assert torch.equal(plain, first) and torch.equal(plain, again) and again.dtype == torch.float32
    seen = base.propose([image])[0]
    assert not torch.equal(plain, seen.masks)
    torch.testing.assert_close(plain, seen.masks, rtol=2**-11, atol=0)  # half a unit in float16's last place
    # An entry of a version that kept masks as they were.
    cache.put(proposals_key(base, image), seen)
    assert torch.equal(propose(base, image, cache).masks, plain)


def test_a_photo_of_more_pixels_than_are_worked_on_is_scaled_down_and_that_is_said(
    base: FakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovss_personal.engine.see.at_most", partial(at_most, pixels=256))
    with pytest.warns(OvssWarning, match="the photo is 32x32 pixels; it is looked at, and labelled, at 16x16"):
        seen = see(base, photo("red"))
    assert seen.image.shape == (16, 16, 3) and seen.proposals.canvas.original == (16, 16)


def test_logits_beyond_float16_stay_finite(base: FakeBase) -> None:
    seen = base.propose([photo("red")])[0]
    far = replace(seen, masks=seen.masks * 1e6).rounded()
    assert far.masks.isfinite().all() and torch.equal(far.masks.sign(), seen.masks.half().sign().float())


def test_shots_that_were_seen_are_not_looked_at_again() -> None:
    base, shots = FakeBase(), reds(3)
    seen = see_shots(base, shots[:2])
    told: list[tuple[int, int, str]] = []
    every = see_shots(base, [*seen, shots[2]], progress=lambda *step: told.append(step))
    assert base.looks == 3 and every[:2] == seen and [one.shot for one in every] == shots
    assert told == [(i, 3, "see") for i in (1, 2, 3)]
    assert seen[0].example is seen[0].example  # made once
