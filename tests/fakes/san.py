"""A SAN so small that it loads in a second; its numbers mean nothing."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

import torch
from parity.seeded_weights import seeded_state_dict
from torch import Tensor

from ovss_personal.bases.san.base import SanBase
from ovss_personal.bases.san.network import SanNetwork, Variant
from ovss_personal.bases.weights import WEIGHTS, WeightSpec

with suppress(ImportError):  # who imports this skips their tests then
    import open_clip

    open_clip.add_model_config(Path(__file__).with_name("tiny_clip.json"))
TINY = Variant(
    clip="tiny_clip", width=64, heads=1, depth=4, patch=16, table=3, dim=256, taps=(0, 1, 2, 3), resolution=0.5
)


class TinySan(SanBase):
    name = "tiny_san"
    variant = TINY


def tiny_tensors() -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in SanNetwork(TINY).state_dict().items()}
    del shapes["ov_classifier.attn_mask"]
    return seeded_state_dict(shapes)


def tiny_spec(folder: Path, tensors: dict[str, Tensor]) -> WeightSpec:
    """The spec of TinySan's weights, whose manifest is written into `folder`."""
    rows = [f"{name}\t{'x'.join(map(str, tensor.shape)) or 'scalar'}\tfloat32" for name, tensor in tensors.items()]
    manifest = folder / "tiny_san.keys.tsv"
    manifest.write_text("\n".join(["key\tshape\tdtype", *rows]))
    return dataclasses.replace(WEIGHTS["san_vit_b_16"], name=TinySan.name, manifest=str(manifest))
