"""Checkpoints of two sizes, both tiny, and the specs of their weights."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fakes.base import FakeBase
from fakes.hub import REPO
from ovss_personal.bases import weights
from ovss_personal.bases.weights import WeightSpec
from ovss_personal.config import BaseConfig


class TinyBase(FakeBase):
    """A base that cannot do without the weights `tiny`, though it makes no use of them."""

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        weights.load_weights(weights.WEIGHTS["tiny"], config.weights, config.offline)


SIZES = {"tiny": 3, "tinier": 2}
CONSTANT = "criterion.empty_weight"


def tiny_spec(folder: Path, name: str = "tiny", **changes: Any) -> WeightSpec:
    """The spec of weights `name`, whose manifest is written into `folder`."""
    rows = [f"{CONSTANT}\t4\tfloat32\tconst"]
    rows += [
        f"{key}\t{'x'.join(map(str, tensor.shape)) or 'scalar'}\tfloat32\ttrained" for key, tensor in tiny(name).items()
    ]
    manifest = folder / f"{name}.keys.tsv"
    manifest.write_text("\n".join(["# made by a test", "key\tshape\tdtype\tstate", *rows]) + "\n", "utf-8")
    page = "https://example.org/tiny"
    spec = WeightSpec(name, REPO, "main", f"{name}.pth", None, None, "MIT", page, str(manifest))
    return dataclasses.replace(spec, **changes)


def tiny(name: str = "tiny", seed: int = 0) -> dict[str, Tensor]:
    """Its tensors."""
    generator = torch.Generator().manual_seed(seed)
    size = SIZES[name]
    tensors = {f"block.{i}.weight": torch.randn(size, 40, generator=generator) for i in range(6)}
    return {**tensors, "bias": torch.randn(size, generator=generator), "scale": torch.tensor(4.5)}


def saved(content: object) -> bytes:
    """What `torch.save` writes of it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
