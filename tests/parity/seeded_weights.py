"""Deterministic weights: from a tensor's name and shape alone, the same float32 bits everywhere.

So two implementations hold the same weights without exchanging a file. The goldens were made with these rules.
Recipe for a tensor called `name` (the first matching line wins):

1. name ends with "logit_scale": float32(ln 100)
2. name ends with "attn_mask": 0 on and below the diagonal, -inf above it
3. name ends with "empty_weight": ones, the last entry 0.1

otherwise x = RandomState(crc32(name)).standard_normal(shape) in float32, and

4. 0-d: 0.02 x
5. 1-d, name ends with "weight": 1 + 0.05 x
6. any other 1-d: 0.02 x
7. name contains "embed", "token" or "positional", and not "patch_embed": 0.02 x
8. name ends with "bias_scaling.weight": 1 + 0.05 x
9. everything else: gain · x / sqrt(product(shape[1:])), the gain from `_gain`

With gain 1 everywhere attention would be almost uniform and all queries nearly equal, which hides mistakes.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float32]


def seeded_array(name: str, shape: tuple[int, ...]) -> Array:
    if name.endswith("logit_scale"):
        return np.full(shape, math.log(100.0), np.float32)
    if name.endswith("attn_mask"):
        return np.triu(np.full(shape, -np.inf, np.float32), k=1)
    if name.endswith("empty_weight"):
        ones = np.ones(shape, np.float32)
        ones[-1] = 0.1
        return ones
    stream = np.random.RandomState(zlib.crc32(name.encode()))
    x = np.asarray(stream.standard_normal(shape)).astype(np.float32)
    small, scale = np.float32(0.02) * x, np.float32(1.0) + np.float32(0.05) * x
    if x.ndim == 0:
        return small
    if x.ndim == 1:
        return scale if name.endswith("weight") else small
    if any(word in name for word in ("embed", "token", "positional")) and "patch_embed" not in name:
        return small
    if name.endswith("bias_scaling.weight"):
        return scale
    return np.float32(_gain(name)) * (x / np.float32(math.sqrt(math.prod(shape[1:]))))


def _gain(name: str) -> float:
    if name.endswith(("in_proj_weight", "qkv.weight")):
        return 2.0
    if "mask_decoder" in name and name.endswith("layers.2.weight"):
        return 0.25
    if "rec_head" in name and name.endswith("attn.out_proj.weight"):
        return 3.0
    return 1.0


def read_manifest(path: Path) -> dict[str, tuple[int, ...]]:
    """{name: shape} of a `*.keys.tsv`."""
    shapes: dict[str, tuple[int, ...]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "key\t")):
            name, shape = line.split("\t")[:2]
            shapes[name] = () if shape == "scalar" else tuple(int(side) for side in shape.split("x"))
    return shapes


def seeded_state_dict(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(seeded_array(name, shape))) for name, shape in shapes.items()}


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 bytes, in the order of the names; the goldens carry theirs."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}|{tuple(tensors[name].shape)}|".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
