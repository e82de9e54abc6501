"""Maps at points, as SAN's and ODISE's losses compare masks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (M, h, w) at points (1 or M, P, 2) of (x, y) in [0, 1] -> (M, P); bilinear, zero outside."""
    grid = 2 * points.expand(len(maps), -1, -1)[:, :, None] - 1  # (M, P, 1, 2)
    return F.grid_sample(maps[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0, :, 0]
