"""SAN as a base, in the two sizes that are published."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pickle import UnpicklingError
from typing import ClassVar

import torch
from torch import Tensor

from ovss_personal.bases.san.network import (
    OPTIONAL,
    VIT_B_16,
    VIT_LARGE_14,
    SanNetwork,
    Variant,
    canvas_of,
    preprocess,
)
from ovss_personal.bases.san.rule import word_probabilities
from ovss_personal.bases.san.side_adapter import QUERIES
from ovss_personal.bases.san.text import WordEncoder
from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.errors import WeightsError
from ovss_personal.structures import BaseTraits, Canvas, Proposals, RGBImage

BATCH = 8  # images of one padded size that pass together on an accelerator
FORWARD_VERSION = 1  # raised with a change to the forward pass that changes its output


class SanBase:
    """A side adapter network (`Base` protocol); the size is the subclass's.

    Of the settings, `dtype` is the precision of CLIP's vision tower, and `tiles` has no effect.

    Raises:
        WeightsError: the weights are missing, broken or those of another network.
    """

    name: str
    variant: ClassVar[Variant]
    extra_words: tuple[str, ...] = ()
    num_proposals = QUERIES

    def __init__(self, config: BaseConfig | None = None, fit_defaults: FitConfig | None = None) -> None:
        self.config = config or BaseConfig(base=self.name)
        self.fit_defaults = fit_defaults or FitConfig.preset("paper")
        self.device = torch.device(self.config.device)
        self.batch = 1 if self.device.type == "cpu" else BATCH
        tensors = state_dict(self.config)
        self.fingerprint = fingerprint(tensors, self.config)
        try:
            self.network = SanNetwork.load(self.variant, tensors).to(self.device)
        except RuntimeError as error:
            first = str(error).strip().splitlines()[1:2]
            raise WeightsError(
                f"does not hold the tensors of {self.name} ({''.join(first).strip()}).", path=self.config.weights
            ) from error
        self.traits = BaseTraits(logit_scale=self.network.logit_scale, void=self.network.void.cpu())
        self.dim = self.variant.dim
        self._words = WordEncoder(self.network.ov_classifier)
        if self.config.dtype != "float32":
            self.network.lower(getattr(torch, self.config.dtype))

    def encode(self, words: Sequence[str]) -> Tensor:
        return self._words(words)

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        return torch.zeros(0, self.dim)  # SAN has a row for "nothing", and the paper hides no others

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        assert self.traits.void is not None
        return word_probabilities(proposals.embeddings, text, self.traits.void, self.traits.logit_scale)

    @torch.no_grad()
    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        """Masks at stride 16 of the resized image; `features` are the plain CLIP's patch tokens in the joint space
        (`RecognitionHead.forward`).

        An image is padded for itself, never to its neighbours' size, so that it gets what it would get alone. On the
        CPU, where batches gain nothing, it also passes alone, to the same last bits.
        """
        canvases = [canvas_of(*image.shape[:2]) for image in images]
        seen: dict[int, Proposals] = {}
        for batch in _batches(canvases, self.batch):
            pixels = torch.stack([preprocess(images[i], canvases[i]) for i in batch])
            outputs = self.network(pixels.to(self.device))
            for i, masks, embeddings, features in zip(batch, *(x.cpu() for x in outputs), strict=True):
                seen[i] = Proposals(masks, embeddings, features, canvases[i])
        return [seen[i] for i in range(len(images))]


class SanViTB16(SanBase):
    """SAN on CLIP ViT-B/16."""

    name = "san_vit_b_16"
    variant = VIT_B_16


class SanViTLarge14(SanBase):
    """SAN on CLIP ViT-L/14 at 336 pixels."""

    name = "san_vit_large_14"
    variant = VIT_LARGE_14


def state_dict(config: BaseConfig) -> dict[str, Tensor]:
    """The tensors of the checkpoint `config.weights`, bare or under the key `model`.

    Raises:
        WeightsError: no file is named, or it cannot be read as tensors alone.
    """
    if config.weights is None:
        raise WeightsError(f"the base '{config.base}' needs its weights.", hint="name their file as `weights`.")
    try:
        content = torch.load(config.weights, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"cannot be read as weights ({reason}).", path=config.weights) from error
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError("is not a checkpoint: expected named tensors.", path=config.weights)
    return tensors


def fingerprint(tensors: Mapping[str, Tensor], config: BaseConfig) -> str:
    """sha256 over the weights and every setting that changes the output, whatever file they came in."""
    digest = hashlib.sha256(f"forward={FORWARD_VERSION}\ndtype={config.dtype}\n".encode())
    for name in sorted(tensors.keys() - set(OPTIONAL)):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _batches(canvases: Sequence[Canvas], size: int) -> Iterator[list[int]]:
    """Indices of images with one padded size, at most `size` at once."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, canvas in enumerate(canvases):
        groups[canvas.padded].append(index)
    for group in groups.values():
        yield from (group[start : start + size] for start in range(0, len(group), size))
