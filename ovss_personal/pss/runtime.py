"""What a training runs on and reports to: devices, logs, and the interruption that waits for an iteration's end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from ovss_personal.errors import UsageError

Precision = Literal["no", "bf16", "fp16"]
_NEEDS = "Run: pip install 'ovss-personal[pss]'"


def check_device(device: str) -> None:
    """Raises UsageError for a device that is neither cpu nor cuda, or not here."""
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device must be cpu or cuda, not {device!r}.", hint="CUDA_VISIBLE_DEVICES chooses which.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here.", hint="Pass --device cpu.")


def accelerator_for(device: str, precision: Precision) -> Any:
    """An Accelerator. Raises UsageError if it is not installed, or there is no such device."""
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError:
        raise UsageError("training needs accelerate, which is not installed.", hint=_NEEDS) from None
    check_device(device)
    # The heads of other contexts are in the network, and get no gradient.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=device == "cpu", mixed_precision=precision, kwargs_handlers=[unused])


@contextmanager
def training_log(folder: Path, start: int, writes: bool) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """TensorBoard's scalars; what an earlier run logged after `start` is discarded."""
    if not writes:
        yield lambda iteration, scalars: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("training needs tensorboard, which is not installed.", hint=_NEEDS) from None
    writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def log(iteration: int, scalars: dict[str, float]) -> None:
        for name, value in scalars.items():
            writer.add_scalar(name, value, iteration)

    try:
        yield log
    finally:
        writer.close()


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Says whether Ctrl-C was pressed, instead of breaking an iteration in two; a second one breaks it all the same."""
    pressed: list[int] = []

    def remember(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    try:
        before = signal.signal(signal.SIGINT, remember)
    except ValueError:  # not the main thread, which is where Ctrl-C goes
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
