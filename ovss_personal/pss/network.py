"""The segmenter: an encoder with stride 8, a pyramid, context, two heads. Key-compatible with the official checkpoints.

`resnet50` and `vgg16` are the published networks; `lite2` is a small one whose ImageNet weights the embedded base
carries, so that it trains without a download.
"""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.errors import UsageError, WeightsError
from ovss_personal.pss.classes import CLASSES, MEAN, STD
from ovss_personal.pss.group_context import Context, GroupContext, Rule, upsample

Backbone = Literal["resnet50", "vgg16", "lite2"]
BACKBONES: tuple[Backbone, ...] = get_args(Backbone)
STRIDE = 8
POOL_BINS = (1, 2, 3, 6)


@dataclass(frozen=True)
class NetworkConfig:
    """Attributes:
    backbone: the encoder.
    context: what a pixel sees beside its own photo's features.
    rule: how the group's regions are gathered and laid out; see `group_context`.
    """

    backbone: Backbone = "resnet50"
    context: Context = "group"
    rule: Rule = "intended"

    def to_json(self) -> str:
        return json.dumps(asdict(self))


OFFICIAL = NetworkConfig(context="group", rule="compat")  # what the published checkpoints were trained as


class Output(NamedTuple):
    """What the network says of (B, 3, H, W) photos; h = ⌈H/8⌉ (vgg16: ⌊H/8⌋), K = 21 classes.

    Attributes:
        main: (B, K, 8h, 8w) logits.
        aux: (B, K, 8h, 8w) logits of the head on the third layer.
        coarse: (B, K, h, w) the main logits before upsampling.
        hidden: (B, D, h, w) the features that they come from.
    """

    main: Tensor
    aux: Tensor
    coarse: Tensor
    hidden: Tensor


class Encoder(nn.Module):
    """`base` ends in layer 3, `layer4` in layer 4, both at stride 8; `psp` pools the latter."""

    def __init__(self, base: nn.Module, layer4: nn.Module, psp: Pyramid) -> None:
        super().__init__()
        self.base, self.layer4, self.psp = base, layer4, psp

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> layer 3, layer 4 and the pyramid, each (B, channels, h, w)."""
        l3 = self.base(images)
        l4 = self.layer4(l3)
        return l3, l4, self.psp(l4)


class Pyramid(nn.Module):
    """(B, inputs, h, w) -> (B, outputs, h, w): the features beside their means over 1, 4, 9 and 36 parts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = inputs // len(POOL_BINS)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(bins), nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
            for bins in POOL_BINS
        )
        self.bottleneck = _conv_bn_relu(inputs + width * len(POOL_BINS), outputs, 3)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[2:]
        pooled = [F.interpolate(stage(features), size, mode="bilinear") for stage in self.stages]
        out: Tensor = self.bottleneck(torch.cat((features, *pooled), 1))
        return out


class Segmenter(nn.Module):
    """Normalised RGB photos of one group -> logits; see `Output`.

    Args:
        config: which network.
        imagenet: start the encoder from ImageNet weights, downloaded once except for lite2.

    Raises:
        WeightsError: the ImageNet weights cannot be had.
    """

    def __init__(self, config: NetworkConfig, imagenet: bool = False) -> None:
        super().__init__()
        self.config = config
        base, layer4, (third, fourth, width) = _ENCODERS[config.backbone](imagenet)
        classes = len(CLASSES)
        self.encoder = Encoder(base, layer4, Pyramid(fourth, width))
        self.aux_decoder = nn.Sequential(*_conv_bn_relu(third, third, 1), nn.Conv2d(third, classes, 1))
        # Never called: it is in every official checkpoint, and leaving it out would make loading less than strict.
        self.conv3x3_ocr = _conv_bn_relu(fourth, width, 3)
        self.group_md = GroupContext(width, width // 2, config.rule, config.context)
        self.main_decoder = nn.Sequential(OrderedDict(conv1x1=nn.Conv2d(width, classes, 1, bias=False)))

    def forward(self, images: Tensor) -> Output:
        l3, _, hidden = self.encoder(images)
        aux = self.aux_decoder(l3)
        if self.config.context != "none":
            hidden = self.group_md(hidden, aux)
        coarse = self.main_decoder(hidden)
        return Output(upsample(coarse, STRIDE), upsample(aux, STRIDE), coarse, hidden)


class Discriminator(nn.Sequential):
    """(B, 21, H, W) entropy or probability maps -> (B, 1, ~H/32, ~W/32) logits: source is 0, target 1."""

    def __init__(self, width: int = 64) -> None:
        widths = (len(CLASSES), width, 2 * width, 4 * width, 8 * width)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, 2, 1))


_Parts = tuple[nn.Module, nn.Module, tuple[int, int, int]]  # base, layer 4, channels of layers 3, 4 and the pyramid


def _resnet50(imagenet: bool) -> _Parts:
    net = _timm("resnet50s", imagenet, output_stride=STRIDE)
    stem: nn.Sequential = net.conv1  # three 3×3 convolutions with norms and ReLUs between them
    first = OrderedDict(
        conv1=stem[0], bn1=stem[1], relu1=stem[2], conv2=stem[3], bn2=stem[4], relu2=stem[5],
        conv3=stem[6], bn3=net.bn1, relu3=net.act1, maxpool=net.maxpool,
    )  # fmt: skip
    stages = (nn.Sequential(nn.Sequential(first)), net.layer1, net.layer2, net.layer3)
    return nn.Sequential(*stages), net.layer4, (1024, 2048, 512)


def _vgg16(imagenet: bool) -> _Parts:
    features = _timm("vgg16_bn", imagenet).features
    return features[:24], features[24:32], (256, 512, 512)  # a slice keeps the numbers in its keys


def _lite2(imagenet: bool) -> _Parts:
    from ovss_personal.bases.embedded.encoder import Encoder as EfficientNet
    from ovss_personal.bases.embedded.files import WEIGHTS

    net = EfficientNet(STRIDE)
    if imagenet:
        net.load_state_dict(EfficientNet.load(WEIGHTS / "encoder.safetensors").state_dict())
    base = nn.Sequential(_ToUnitRange(), net.conv_stem, net.bn1, *net.blocks[:5])
    return base, nn.Sequential(*net.blocks[5:]), (120, 352, 128)


_ENCODERS: dict[Backbone, Callable[[bool], _Parts]] = {"resnet50": _resnet50, "vgg16": _vgg16, "lite2": _lite2}


class _ToUnitRange(nn.Module):
    """From the normalisation of the album's pixels to the [-1, 1] that lite2 was trained on."""

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (MEAN, STD))
        return (images * std + mean) * 2 - 1


def _timm(name: str, imagenet: bool, **options: Any) -> Any:
    timm = require_timm()

    try:
        return timm.create_model(name, pretrained=imagenet, **options)
    except (OSError, RuntimeError) as error:  # what a hub that cannot be reached ends in
        raise WeightsError(
            f"the ImageNet weights of {name} cannot be had: {str(error).splitlines()[0]}.",
            hint="Download them once while online, start from --weights, or use --backbone lite2.",
        ) from error


def require_timm() -> Any:
    """timm. Raises UsageError if it is not installed."""
    try:
        return import_module("timm")
    except ImportError:
        raise UsageError(
            "resnet50 and vgg16 need timm, which is not installed.",
            hint="Run: pip install 'ovss-personal[pss]', or do with lite2 or --features embedded.",
        ) from None


def _conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def with_context(network: Segmenter, context: Context) -> Segmenter:
    """The same weights under another context; the parameters of all contexts are the same."""
    other = Segmenter(replace(network.config, context=context))
    other.load_state_dict(network.state_dict())
    return other.train(network.training)
