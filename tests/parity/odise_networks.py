"""The networks of the goldens: seeded weights by the frozen recipe of `odise_weights`, in our classes."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np
import torch
from parity.odise_weights import normal, weight
from torch import Tensor, nn

from ovss_personal.bases.checkpoint import load_strictly
from ovss_personal.bases.odise.clip import FrozenClip, build_clip
from ovss_personal.bases.odise.diffusion import build_text_encoder, build_unet, build_vae, empty_caption
from ovss_personal.bases.odise.extractor import Extractor
from ovss_personal.bases.odise.ldm_names import from_ldm
from ovss_personal.bases.odise.network import Network, Trained
from ovss_personal.bases.odise.sizes import FULL, TINY, Size

HERE = Path(__file__).parent
MANIFESTS = HERE.parents[1] / "third_party" / "odise"


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(HERE / f"odise_{name}.npz") as file:
        return {key: file[key] for key in file.files}


def draw(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """The named random input of the goldens."""
    return torch.from_numpy(normal(f"odise.in.{name}", shape, scale))


def rows(manifest: str) -> list[dict[str, str]]:
    with open(MANIFESTS / manifest, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def shape_of(text: str) -> tuple[int, ...]:
    return () if text == "scalar" else tuple(int(v) for v in text.split("x"))


def recipe(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.asarray(weight(name, shape)))


def fill(module: nn.Module, prefix: str = "") -> None:
    load_strictly(module, {k: recipe(prefix + k, tuple(v.shape)) for k, v in module.state_dict().items()})


def build(size: Size, labels: bool, manifest: str) -> Network:
    state = {row["key"]: recipe(row["key"], shape_of(row["shape"])) for row in rows(manifest)}
    unet, vae, text = build_unet(size), build_vae(size), build_text_encoder(size)
    for module, tensors in zip((unet, vae, text), from_ldm(state), strict=True):
        load_strictly(module, tensors)
    clip = build_clip(size)
    fill(clip, "clip.")
    return Network(trained(size, labels), Extractor(unet, vae), FrozenClip(clip, size), empty_caption(text))


@cache
def trained(size: Size, labels: bool) -> Trained:
    module = Trained(size, labels)
    fill(module)
    return module.eval().requires_grad_(False)


@cache
def tiny() -> Network:
    return build(TINY, True, "odise_tiny_ldm.keys.tsv")


@cache
def tiny_clip() -> FrozenClip:
    return tiny().clip


def full() -> Network:
    return build(FULL, True, "ldm_to_diffusers.tsv")


def within(found: Tensor, expected: np.ndarray, limit: float) -> None:
    """Equal shapes, and no difference beyond `limit`."""
    target = torch.from_numpy(np.asarray(expected))
    assert found.shape == target.shape
    worst = (found - target).abs().max().item()
    assert worst <= limit, f"off by {worst:.2e}, allowed {limit:.0e}"
