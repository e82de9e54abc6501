"""Captioner, taps and pyramid against the published implementation, on the reduced and on the full network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import odise_networks as nets
from parity.odise_weights import image
from torch import Tensor

pytest.importorskip("diffusers")
pytest.importorskip("open_clip")

from ovss_personal.bases.odise.extractor import NOISE, SIGNAL, fixed_noise
from ovss_personal.bases.odise.network import Network
from ovss_personal.bases.odise.pyramid import sliding_pyramid, window_pyramid, windows

TAPS = ("enc5_s4", "enc7_s8", "unet2_s64", "unet5_s32", "unet8_s16", "unet11_s8", "dec2_s8", "dec5_s4")
LEVELS = ("s2", "s3", "s4", "s5")
Golden = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


def pixels(height: int, width: int, seed: int) -> Tensor:
    return torch.from_numpy(image(height, width, seed)).permute(2, 0, 1)[None] / 255


def every(x: Tensor, channels: int, cells: int) -> Tensor:
    """About `channels` channels and `cells` x `cells` cells of (B, C, h, w)."""
    step = max(1, x.shape[3] // cells)
    return x[:, :: max(1, x.shape[1] // channels), ::step, ::step]


def check_taps(taps: Sequence[Tensor], golden: Golden, channels: int, cells: int) -> None:
    for name, tap in zip(TAPS, taps, strict=True):
        nets.within(every(tap, channels, cells), golden[f"tap_{name}"], 1e-3)
        nets.within(tap.mean((2, 3)), golden[f"tapmean_{name}"], 1e-3)
        nets.within(tap.std((2, 3)), golden[f"tapstd_{name}"], 1e-3)


def steer(network: Network, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    view = network.clip.image(network.clip.prepare(x, "bicubic"))
    return view, *network.trained.backbone.feature_extractor(view, network.empty)


def test_tiny_captioner_and_taps() -> None:
    golden, network, x = nets.golden("ldm_tiny"), nets.tiny(), pixels(512, 512, 77)
    nets.within(network.clip.prepare(x, "bicubic")[:, :, ::4, ::4], golden["clip_input_sub"], 1e-4)
    view, context, time = steer(network, x)
    nets.within(view, golden["prefix"], 1e-4)
    assert np.abs(view.numpy() - golden["prefix_if_antialiased_WRONG"]).max() > 0.5
    nets.within(network.empty, golden["uncond_inputs"], 1e-4)
    captioner = network.trained.backbone.feature_extractor
    nets.within(captioner.clip_project(view), golden["prefix_embed"], 1e-4)
    nets.within(context, golden["cond_inputs"], 1e-4)
    nets.within(time[:, None], golden["cond_emb"], 1e-4)
    nets.within(fixed_noise(), golden["shared_noise"], 0)
    assert np.allclose((SIGNAL, NOISE), golden["q_sample_coeffs"], rtol=1e-12)
    first, latent = network.extractor.encode(x)
    nets.within(latent, golden["latent"], 1e-4)
    noisy = network.extractor.add_noise(latent)
    nets.within(noisy, golden["noisy_latent"], 1e-4)
    taps = [*first, *network.extractor.denoise(noisy, context, time), *network.extractor.decode(latent)]
    check_taps(taps, golden, 16, 16)
    pyramid = window_pyramid(taps, network.trained.backbone.feature_projections, 512)
    for name, level in zip(LEVELS, pyramid, strict=True):
        nets.within(every(level, 16, 16), golden[f"single_{name}"], 1e-3)
        nets.within(level.mean((2, 3)), golden[f"singlemean_{name}"], 1e-3)


@pytest.mark.slow
def test_tiny_sliding_windows() -> None:
    """Four windows, half a minute."""
    golden, network = nets.golden("ldm_tiny"), nets.tiny()
    canvas = F.pad(pixels(544, 704, 78), (0, 64, 0, 32))  # one column of cells more than `pad` would add
    assert windows(576, 768) == (512, [(0, 0), (0, 256), (64, 0), (64, 256)])
    for name, level in zip(LEVELS, sliding_pyramid(canvas, network.look, batch=2), strict=True):
        down, across = (max(1, size // cells) for size, cells in zip(level.shape[2:], (18, 24), strict=True))
        nets.within(level[:, ::64, ::down, ::across], golden[f"slide_{name}"], 1e-3)
        nets.within(level.mean((2, 3)), golden[f"slidemean_{name}"], 1e-3)


@pytest.mark.slow
def test_full_size_window() -> None:
    """Minutes, and 8 GB."""
    golden, network, x = nets.golden("ldm_full"), nets.full(), pixels(512, 512, 77)
    view, context, time = steer(network, x)
    nets.within(view, golden["prefix"], 1e-3)
    nets.within(network.empty[:, ::7, ::4], golden["uncond_inputs_every7"], 1e-3)
    nets.within(context[:, ::7, ::4], golden["cond_inputs_every7"], 1e-3)
    nets.within(time[:, None], golden["cond_emb"], 1e-3)
    first, latent = network.extractor.encode(x)
    nets.within(latent[:, :, ::2, ::2], golden["latent_s2"], 1e-4)
    noisy = network.extractor.add_noise(latent)
    taps = [*first, *network.extractor.denoise(noisy, context, time), *network.extractor.decode(latent)]
    check_taps(taps, golden, 32, 8)
    pyramid = window_pyramid(taps, network.trained.backbone.feature_projections, 512)
    for name, level in zip(LEVELS, pyramid, strict=True):
        nets.within(every(level, 16, 8), golden[f"proj_{name}"], 1e-3)
        nets.within(level.mean((2, 3)), golden[f"projmean_{name}"], 1e-3)
