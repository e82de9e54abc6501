"""SAN as a base, in the two sizes that are published."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ovss_personal.bases.bank import load_bank
from ovss_personal.bases.batches import batches
from ovss_personal.bases.competitors import competitors_of
from ovss_personal.bases.san.network import VIT_B_16, VIT_LARGE_14, SanNetwork, Variant, canvas_of, preprocess
from ovss_personal.bases.san.phrases import PhraseEncoder
from ovss_personal.bases.san.rule import word_probabilities
from ovss_personal.bases.san.side_adapter import QUERIES
from ovss_personal.bases.san.text import WordEncoder
from ovss_personal.bases.weights import WEIGHTS, load_weights
from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.store.words import WordCache
from ovss_personal.structures import BaseTraits, Proposals, RGBImage

BATCH = 8  # images of one padded size that pass together on an accelerator
FORWARD_VERSION = 1  # raised with a change to the forward pass that changes its output


class SanBase:
    """A side adapter network (`Base` protocol); the size is the subclass's.

    Of the settings, `dtype` is the precision of CLIP's vision tower, and `tiles` has no effect. All tensors that it
    returns are on its device.

    Against competitors a concept has SAN's own logit scale and must be likelier than all of them and "nothing"
    together (the default `threshold` 0.5). Cosines of CLIP's images and words lie within some 0.2 of each other, so
    at the third of the scale that is right for the embedded base even one sure thing would drown among forty
    siblings. That is reasoned, not measured.

    Raises:
        WeightsError: the weights are missing, broken or those of another network.
        ResourceError, OutputError: there is no room to keep them.
    """

    name: str
    variant: ClassVar[Variant]
    extra_words: tuple[str, ...] = ()
    num_proposals = QUERIES
    fit_defaults = paper_defaults = FitConfig(alpha=0.1, learning_rate=5e-4, lambda_m=10.0)

    def __init__(self, config: BaseConfig | None = None) -> None:
        self.config = config or BaseConfig(base=self.name)
        self.device = torch.device(self.config.device)
        self.batch = 1 if self.device.type == "cpu" else BATCH
        weights = load_weights(WEIGHTS[self.name], self.config.weights, self.config.offline)
        self.network = SanNetwork.load(self.variant, weights.tensors).to(self.device)
        self.traits = BaseTraits(logit_scale=self.network.logit_scale, void=self.network.void)
        self.dim = self.variant.dim
        own = fingerprint(weights.sha256, self.config)
        bank, self.fingerprint = load_bank(self.config, self.name, own, self.dim)
        self.bank = None if bank is None else bank.to(self.device)
        self._words = WordEncoder(self.network.ov_classifier, WordCache(own))
        self._phrases = PhraseEncoder(self._words)
        if self.config.dtype != "float32":
            self.network.lower(getattr(torch, self.config.dtype))

    def encode(self, words: Sequence[str]) -> Tensor:
        return self._words(words).to(self.device)

    def read_phrase(self, texts: Sequence[str], vectors: Sequence[Tensor]) -> Tensor:
        return self._phrases(texts, vectors).to(self.device)

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        return competitors_of(self.name, self.encode, self.bank, class_name, kind)

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
        for batch in batches([canvas.padded for canvas in canvases], self.batch):
            pixels = torch.stack([preprocess(images[i], canvases[i]) for i in batch])
            outputs = self.network(pixels.to(self.device))
            for i, masks, embeddings, features in zip(batch, *outputs, strict=True):
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


def fingerprint(sha256: str, config: BaseConfig) -> str:
    """sha256 over that of the checkpoint and every setting that changes the output."""
    return hashlib.sha256(f"{sha256}\nforward={FORWARD_VERSION}\ndtype={config.dtype}".encode()).hexdigest()
