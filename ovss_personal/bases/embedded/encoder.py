"""The image encoder: EfficientNet-Lite2 (Tan and Le, 2019; Lite: ReLU6 and no squeeze-and-excitation) for ImageNet.

Parameters have the names that timm gives those of its `tf_efficientnet_lite2`, so that checkpoints of the one load into
the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.embedded.files import fill, load

STRIDES = (4, 8, 16, 32)
CHANNELS = (24, 48, 120, 352)
DIM = 1280  # the classifier's input: the joint space
CLASSES = 1000

# Of each stage: blocks, kernel, stride of the first block, how much wider a block is inside, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (3, 3, 2, 6, 24),
    (3, 5, 2, 6, 48),
    (4, 3, 2, 6, 88),
    (4, 5, 1, 6, 120),
    (5, 5, 2, 6, 208),
    (1, 3, 1, 6, 352),
)
TAPS = (1, 2, 4, 6)  # the last stage of each stride
UPPER = 3  # the first stage behind stride 8: from here on the mask decoder has stages of its own
STEM = 32


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "same": to ⌈size / stride⌉, an odd zero at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, dilation=dilation, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        if self.stride[0] == 1:
            return F.conv2d(x, self.weight, None, 1, reach // 2, self.dilation, self.groups)
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // self.stride[0]) - 1) * self.stride[0] + reach + 1 - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, None, self.stride, 0, self.dilation, self.groups)


class Norm(nn.BatchNorm2d):
    """Batch normalisation with TensorFlow's epsilon."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)


class NormReLU6(Norm):
    """The same, then min(max(x, 0), 6)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(super().forward(x), inplace=True)


class DepthwiseSeparable(nn.Module):
    """k x k on each channel by itself, then 1 x 1 to `outputs` channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = SameConv2d(inputs, inputs, kernel, groups=inputs), NormReLU6(inputs)
        self.conv_pw, self.bn2 = SameConv2d(inputs, outputs, 1), Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return out


class InvertedResidual(nn.Module):
    """1 x 1 to `inside` channels, k x k on each by itself, 1 x 1 to `outputs`; the input is added where it fits."""

    def __init__(self, inputs: int, inside: int, outputs: int, kernel: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv_pw, self.bn1 = SameConv2d(inputs, inside, 1), NormReLU6(inside)
        self.conv_dw, self.bn2 = SameConv2d(inside, inside, kernel, stride, dilation, inside), NormReLU6(inside)
        self.conv_pwl, self.bn3 = SameConv2d(inside, outputs, 1), Norm(outputs)
        self.has_skip = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn1(self.conv_pw(x))
        out = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(out))))
        return out + x if self.has_skip else out


class Encoder(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> taps at strides 4, 8, 16, 32 and the dense 1280-channel features.

    Args:
        output_stride: beyond this stride, dilation takes the place of strides.
    """

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = SameConv2d(3, STEM, 3, 2), NormReLU6(STEM)
        self.blocks = nn.ModuleList(stages(output_stride))
        self.conv_head, self.bn2 = SameConv2d(CHANNELS[-1], DIM, 1), NormReLU6(DIM)
        self.classifier = nn.Linear(DIM, CLASSES)

    @classmethod
    def load(cls, path: Path, output_stride: int = 32) -> Encoder:
        """With a file's weights, frozen. Raises WeightsError if the file is missing, broken or another network's."""
        with torch.device("meta"):  # no time for random numbers that the file replaces
            encoder = cls(output_stride)
        fill(encoder, load(path), path)
        encoder.eval().requires_grad_(False)
        return encoder

    @property
    def class_rows(self) -> Tensor:
        """(1000, 1280) the classifier's rows, one an ImageNet class."""
        return self.classifier.weight

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns ([(B, 24, H/4, W/4), ... (B, 352, H/32, W/32)], (B, 1280, H/32, W/32))."""
        taps = self.lower(images)
        taps += upper(self.blocks[UPPER:], taps[-1])
        dense: Tensor = self.bn2(self.conv_head(taps[-1]))
        return taps, dense

    def lower(self, images: Tensor) -> list[Tensor]:
        """The taps at strides 4 and 8 alone."""
        x = self.bn1(self.conv_stem(images))
        taps = []
        for stage, blocks in enumerate(self.blocks[:UPPER]):
            x = blocks(x)
            if stage in TAPS:
                taps.append(x)
        return taps


def upper(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Stages from `UPPER` on: the tap at stride 8 -> those at strides 16 and 32."""
    taps = []
    for stage, block in enumerate(blocks, start=UPPER):
        x = block(x)
        if stage in TAPS:
            taps.append(x)
    return taps


def stages(output_stride: int = 32) -> list[nn.Sequential]:
    """The network between its stem and its head."""
    found: list[nn.Sequential] = []
    inputs, stride_so_far, dilation = STEM, 2, 1
    for count, kernel, stride, wider, outputs in STAGES:
        blocks: list[nn.Module] = []
        for index in range(count):
            step, following = (stride if index == 0 else 1), dilation
            if step > 1 and stride_so_far * step > output_stride:
                step, following = 1, dilation * step  # for the blocks after this one
            stride_so_far *= step
            if wider == 1:
                blocks.append(DepthwiseSeparable(inputs, outputs, kernel))
            else:
                blocks.append(InvertedResidual(inputs, inputs * wider, outputs, kernel, step, dilation))
            inputs, dilation = outputs, following
        found.append(nn.Sequential(*blocks))
    return found


def normalise(images: Tensor) -> Tensor:
    """uint8 or float (..., 3, H, W) in 0..255 -> float in [-1, 1], as the network was trained."""
    return images.float() / 127.5 - 1
