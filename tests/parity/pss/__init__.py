"""The goldens of the published PSS code, and the recipe of the weights that they were made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Goldens:
    """One `.npz`; arrays as tensors by `g["name"]`, and as they are by `g.array("name")`."""

    def __init__(self, name: str) -> None:
        self._arrays = np.load(Path(__file__).with_name(f"pss_{name}.npz"), allow_pickle=False)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self._arrays[name]))

    def array(self, name: str) -> Any:
        return self._arrays[name]


def close(found: Tensor, golden: Tensor, limit: float) -> None:
    torch.testing.assert_close(found, golden, rtol=0, atol=limit)
