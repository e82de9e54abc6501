"""Where the networks are while they work, in which precision, and how many windows pass at once."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise import network as module
from ovss_personal.bases.odise.base import OdiseTiny
from ovss_personal.bases.odise.clip import FrozenClip
from ovss_personal.bases.odise.extractor import Extractor
from ovss_personal.bases.odise.network import WINDOW_BYTES, Network, visiting
from ovss_personal.bases.odise.sizes import TINY

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def copied(network: Network) -> Network:
    """The same network, whose precision may be changed."""
    parts = copy.deepcopy((network.extractor.unet, network.extractor.vae, network.clip.model))
    return Network(network.trained, Extractor(*parts[:2]), FrozenClip(parts[2], TINY), network.empty)


def test_a_visit_ends_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = nn.Linear(2, 3)
    linear.register_buffer("count", torch.ones(1))

    def places() -> list[int]:
        return [tensor.data_ptr() for tensor in linear.state_dict().values()]

    before = places()
    monkeypatch.setattr(Tensor, "to", lambda self, device: self.clone())  # as to another device
    with pytest.raises(KeyError), visiting(linear, CPU):
        assert not set(places()) & set(before)
        raise KeyError
    assert places() == before


def test_with_low_memory_one_network_after_the_other_sees_all_windows(
    odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits: list[nn.Module] = []
    batches: list[int] = []

    @contextmanager
    def visit(visited: nn.Module, device: torch.device) -> Iterator[None]:
        visits.append(visited)
        yield

    def taps(images: Tensor, first: int, last: int) -> list[Tensor]:
        """What a window's brightness is, at the widths of taps."""
        mean = images.mean((1, 2, 3)).view(-1, 1, 1, 1)
        return [mean * torch.ones(1, channels, 8, 8) for channels in TINY.taps[first:last]]

    def encode(self: Extractor, images: Tensor) -> tuple[list[Tensor], Tensor]:
        batches.append(len(images))
        return taps(images, 0, 2), F.adaptive_avg_pool2d(images, 64)[:, :1].expand(-1, 4, -1, -1)

    monkeypatch.setattr(module, "visiting", visit)
    monkeypatch.setattr(Extractor, "encode", encode)
    monkeypatch.setattr(Extractor, "denoise", lambda self, noisy, context, time: taps(noisy + context.mean(), 2, 6))
    monkeypatch.setattr(Extractor, "decode", lambda self, latent: taps(latent, 6, 8))
    network = odise.network
    image = torch.rand(1, 3, 64, 192, generator=torch.Generator().manual_seed(0))  # three windows
    sliding = module.sliding_pyramid(image, network.look, network.at_once())
    assert batches == [1, 1, 1]
    visits.clear()
    monkeypatch.setattr(module, "sliding_pyramid", lambda *arguments: pytest.fail("another network saw a window"))
    frugal = network.to(CPU, low_memory=True)
    assert frugal.home == CPU
    levels = frugal.look(torch.cat([image[..., left : left + 64] for left in (0, 64, 128)]))
    assert batches == [1] * 6
    backbone = network.trained.backbone
    expected = [network.clip.visual, network.extractor.vae, network.extractor.unet, backbone.feature_projections]
    assert len(visits) == 4 and all(a is b for a, b in zip(visits, expected, strict=True))
    for level, whole in zip(levels, sliding, strict=True):
        assert torch.allclose(torch.cat(list(level), 2), whole[0], atol=1e-5)


@pytest.mark.slow
def test_with_low_memory_the_same_is_seen(odise: OdiseTiny) -> None:
    """Two windows, twice."""
    image = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    whole, frugal = (network(image) for network in (odise.network, odise.network.to(CPU, low_memory=True)))
    for field in dataclasses.fields(whole):
        assert torch.allclose(getattr(whole, field.name), getattr(frugal, field.name), atol=1e-5)


@pytest.mark.parametrize(("dtype", "windows"), [(torch.float32, 4), (torch.bfloat16, 8)])
def test_a_gpu_takes_as_many_windows_as_it_has_memory_for(
    odise: OdiseTiny, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, windows: int
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * WINDOW_BYTES, 9 * WINDOW_BYTES))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * WINDOW_BYTES)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * WINDOW_BYTES)
    network = copied(odise.network).to(CPU, dtype)
    on_gpu = dataclasses.replace(network, device=torch.device("cuda"))
    assert on_gpu.at_once() == windows and network.at_once() == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 9 * WINDOW_BYTES))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * WINDOW_BYTES)
    assert on_gpu.at_once() == 1, "with no memory to spare it is tried all the same"


def test_lower_precision_is_that_of_the_frozen_networks_alone(odise: OdiseTiny) -> None:
    network, lower = odise.network, copied(odise.network).to(CPU, torch.bfloat16)
    frozen = (lower.extractor.unet, lower.extractor.vae, lower.clip.visual)
    assert {p.dtype for part in frozen for p in part.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in network.trained.parameters()} == {torch.float32}
    assert torch.equal(lower.clip.text(["a mug"]), network.clip.text(["a mug"])), "words stay what they are"
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    visible = torch.ones(1, 2, 36, dtype=torch.bool)
    made: list[list[Tensor]] = []
    for each in (network, lower):
        view = each.clip.image(each.clip.prepare(images, "bicubic"))
        context, time = each.trained.backbone.feature_extractor(view, each.empty)
        taps, latent = each.extractor.encode(images)
        middle = each.extractor.denoise(noise, context, time)
        made.append([view, latent, *taps, *middle, *each.extractor.decode(latent), each.probe(images, visible)])
    for full, low in zip(*made, strict=True):
        assert low.dtype == torch.float32 and low.shape == full.shape
        assert 0 < (low - full).norm() < 0.1 * full.norm()
