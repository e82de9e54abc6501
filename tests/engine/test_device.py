"""Fits and painting stay on the device of what the base saw, and wait for it no more often than they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import OURS, FakeBase, photo
from fakes.base import reds
from fakes.device import DEVICE, elsewhere
from torch import Tensor

from ovss_personal.config import Competitors, FitConfig
from ovss_personal.engine.find import segment
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import see_shots
from ovss_personal.personal import fit as fitting
from ovss_personal.personal.fit import FitTask, FitWords, fit_all
from ovss_personal.structures import BaseTraits, Proposals, RGBImage


class FarBase(FakeBase):
    """The same base on a device of its own."""

    def __init__(self, traits: BaseTraits) -> None:
        void = None if traits.void is None else traits.void.to(DEVICE)
        super().__init__(traits=replace(traits, void=void), extra_words=("other",))
        self.device = DEVICE

    def encode(self, words: Sequence[str]) -> Tensor:
        return super().encode(words).to(DEVICE)

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        return super().competitors(class_name, kind).to(DEVICE)

    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        return [proposals.to(DEVICE) for proposals in super().propose(images)]

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        rows = text if self.traits.void is None else torch.cat((text, self.traits.void))
        scores = (self.traits.logit_scale * proposals.embeddings @ rows.T).softmax(1)[:, : len(text)]
        return torch.cat((scores, scores.new_full((len(scores), 1), 0.01)), 1)


VOID = FakeBase().encode(["nothing"])
METHODS = {
    "ours": (BaseTraits(20.0, no_object=0.5, positives="overlap", threshold=0.1, contrast=1.0), OURS),
    "paper": (BaseTraits(20.0, void=VOID, paper_threshold=0.2), replace(FitConfig(), learning_rate=5e-3)),
    "paper, arg max": (BaseTraits(20.0, void=VOID), replace(FitConfig(), learning_rate=5e-3)),
}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_learned_and_found_there_is_what_it_is_here(method: str) -> None:
    traits, config = METHODS[method]
    config = replace(config, iterations=10, views=3)
    near = FakeBase(traits=traits, extra_words=("other",))
    here = personalize(near, reds(2), concept="my mug", class_name="mug", config=config)
    words = ["a green thing", "hat on my mug"]  # the second is composed of what was learned
    found_here = segment(near, photo("red", noise=50), words=words, concepts=[here])
    with elsewhere():
        far = FarBase(traits)
        there = personalize(far, reds(2), concept="my mug", class_name="mug", config=config)
        assert {tensor.device for tensor in there.head.tensors().values()} == {DEVICE}
        found_there = segment(far, photo("red", noise=50), words=words, concepts=[there])
        moved = {name: tensor.cpu() for name, tensor in there.head.tensors().items()}
        # A concept that was read from disk lies on the CPU.
        again = segment(far, photo("red", noise=50), words=words, concepts=[here])
    for name, tensor in here.head.tensors().items():
        torch.testing.assert_close(moved[name], tensor)
    assert there.report == here.report and there.config == here.config
    for found in (found_there, again):
        assert np.array_equal(found.labels, found_here.labels) and found.scores == pytest.approx(found_here.scores)
    assert found_here.mask("my mug").any()


def test_an_iteration_waits_for_nothing() -> None:
    traits, config = METHODS["paper"]
    with elsewhere() as device:
        far = FarBase(traits)
        examples = tuple(shot.example for shot in see_shots(far, reds(3)))
        words = FitWords(far.encode(["mug"])[0], far.encode(["tree", "grass"]), far.competitors("mug", "none"))

        def waits(iterations: int) -> int:
            before = device.syncs
            fit_all([FitTask(examples, words, replace(config, iterations=iterations))], far.traits)
            return device.syncs - before

        waits(1)  # what is made of the examples is kept
        few, many = waits(20), waits(100)
    assert fitting.CHECK_EVERY == 20 and many - few == 4  # one look at the losses for every 20 iterations


def test_two_devices_do_not_mix() -> None:
    """The stand-in is an accelerator in what matters here."""
    with elsewhere() as device:
        there = torch.arange(3, device=DEVICE)
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.arange(3)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert (there + 1).cpu().tolist() == [1, 2, 3] and device.syncs == 1
        assert there[1].item() == 1 and device.syncs == 2
        assert torch.tensor([5.0, 7.0], device=DEVICE).tolist() == [5.0, 7.0]
