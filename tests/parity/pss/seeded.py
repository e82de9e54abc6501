"""The recipe of the weights and inputs that the goldens were made with; it is frozen, each tensor comes from its name.

x is a float32 standard normal draw of RandomState(crc32(name)). The first line that fits wins:

1. `…num_batches_tracked`: zeros
2. a vector `…running_var`: 1 + 0.05 |x|
3. a vector `…weight`: 1 + 0.05 x
4. any other vector or scalar: 0.02 x
5. anything else: x / √(product of all sides but the first)
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

MANIFESTS = Path(__file__).parents[3] / "third_party" / "pss"


def draw(name: str, shape: Iterable[int], scale: float = 1.0) -> Tensor:
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy(np.asarray(normal).astype(np.float32) * np.float32(scale))


def tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    x = draw(name, shape)
    if len(shape) == 1 and name.endswith("running_var"):
        return 1 + 0.05 * x.abs()
    if len(shape) == 1 and name.endswith("weight"):
        return 1 + 0.05 * x
    if len(shape) < 2:
        return 0.02 * x
    return x / np.float32(math.sqrt(math.prod(shape[1:])))


def manifest(backbone: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes of an official checkpoint."""
    lines = (MANIFESTS / f"{backbone}.keys.tsv").read_text().splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {row[0]: () if row[1] == "scalar" else tuple(map(int, row[1].split("x"))) for row in rows}


def state_dict(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> dict[str, Tensor]:
    return {name: tensor(prefix + name, shape) for name, shape in shapes.items()}


def fill(module: nn.Module, prefix: str = "") -> nn.Module:
    """The module in evaluation mode, its weights drawn by their names after `prefix`."""
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    module.load_state_dict(state_dict(shapes, prefix))
    return module.eval()
