"""What the scripts of this folder share: a clock, and shots made square."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from ovss_personal.structures import Shot


class Clock:
    """Times work, on a GPU to its end.

    Args:
        runs: how many are counted.
    """

    def __init__(self, runs: int = 5, device: str = "cpu") -> None:
        self.runs = runs
        self.gpu = device.startswith("cuda")

    def once(self, work: Callable[[], Any]) -> float:
        """Seconds."""
        began = time.perf_counter()
        work()
        if self.gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def median(self, work: Callable[[], Any]) -> float:
        """Median seconds of the runs, after one that is not counted."""
        self.once(work)
        return statistics.median(self.once(work) for _ in range(self.runs))


def square(shot: Shot, size: int) -> Shot:
    """The shot's middle, made `size` x `size`."""
    side = min(shot.mask.shape)
    top, left = ((length - side) // 2 for length in shot.mask.shape)
    box = (left, top, left + side, top + side)
    image = Image.fromarray(shot.image).crop(box).resize((size, size))
    mask = Image.fromarray(shot.mask).crop(box).resize((size, size), Image.Resampling.NEAREST)
    return replace(shot, image=np.asarray(image), mask=np.asarray(mask))
