"""Weights that are a function of their name and shape: a network without training, the same on every machine."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

TABLES = ("query_feat.weight", "query_embed.weight", "level_embed", "level_embed.weight")
SMALL_TABLES = ("positional_embedding", "position_embedding.weight", "token_embedding.weight")


def seeded(name: str, shape: tuple[int, ...]) -> Tensor:
    """A random float32 tensor of a size that keeps activations about 1 in a deep network."""
    if name.endswith("logit_scale"):
        return torch.full(shape, math.log(100.0))
    generator = np.random.RandomState(zlib.crc32(name.encode()))  # its stream is frozen, unlike newer generators'
    x = np.asarray(generator.standard_normal(shape)).astype(np.float32)
    if name.endswith(("alpha_cond", "alpha_cond_time_embed")):
        x *= np.float32(0.5)
    elif len(shape) == 1 and name.endswith("weight"):
        x = 1 + np.float32(0.05) * x
    elif len(shape) < 2:
        x *= np.float32(0.02)
    elif name.endswith(SMALL_TABLES):
        x *= np.float32(0.1)
    elif not name.endswith(TABLES):
        x *= np.float32(_gain(name) / math.sqrt(math.prod(shape[1:])))
    return torch.from_numpy(x)


def _gain(name: str) -> float:
    if name.endswith("in_proj_weight"):
        return 2.0
    return 0.25 if name.endswith("predictor.mask_embed.layers.2.weight") else 1.0


def seeded_like(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """A seeded tensor for each of a state dict, named with `prefix`."""
    return {name: seeded(prefix + name, tuple(tensor.shape)) for name, tensor in state.items()}
