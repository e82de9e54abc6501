"""CLIP ViT-L/14-336 with OpenAI's weights, in open_clip's classes: the one frozen copy that three parts share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.sizes import Size
from ovss_personal.errors import VocabularyError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def build_clip(size: Size) -> nn.Module:
    """open_clip's model without weights."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    layers, text_layers = size.clip_layers
    clip: nn.Module = CLIP(
        embed_dim=size.clip_dim,
        vision_cfg=CLIPVisionCfg(layers=layers, width=size.clip_vision, patch_size=14, image_size=size.clip_image),
        text_cfg=CLIPTextCfg(width=size.clip_text, heads=size.clip_heads, layers=text_layers),
        quick_gelu=True,
    )
    return clip


class FrozenClip:
    """Images and words in CLIP's joint space.

    Its image tower computes in its own precision; what goes in and comes out is float32.

    Attributes:
        model: open_clip's CLIP.
        side: of its input in pixels.
        logit_scale: what multiplies its cosines, at most 100.
    """

    def __init__(self, model: nn.Module, size: Size):
        self.model = model.eval().requires_grad_(False)
        self.side = size.clip_image
        scale = model.get_parameter("logit_scale").exp().item()
        self.logit_scale: float = min(scale, 100.0)

    @property
    def visual(self) -> nn.Module:
        """The image tower."""
        return self.model.get_submodule("visual")

    def prepare(self, images: Tensor, mode: str) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, side, side) normalised; stretched, and not antialiased even if shrunk."""
        size = (self.side, self.side)
        if images.shape[2:] != size:
            images = F.interpolate(images, size, mode=mode, align_corners=False, antialias=False)
        mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (MEAN, STD))
        return (images - mean) / std

    def image(self, prepared: Tensor) -> Tensor:
        """(B, clip_dim) of whole images, not normalised."""
        out: Tensor = self.visual(prepared.to(next(self.visual.parameters()).dtype))
        return out.float()

    def text(self, sentences: Sequence[str]) -> Tensor:
        """(S, clip_dim) of sentences, not normalised. Raises VocabularyError for one beyond 77 tokens."""
        tokens = tokenize(sentences).to(next(self.model.parameters()).device)
        out: Tensor = self.model.encode_text(tokens)  # type: ignore[operator]
        return out


def tokenize(sentences: Sequence[str]) -> Tensor:
    """(S, 77) int64, padded with 0. Raises VocabularyError for a sentence that does not fit."""
    tokenizer = _tokenizer()
    for sentence in sentences:
        if len(tokenizer.encode(sentence)) > tokenizer.context_length - 2:
            raise VocabularyError(f"'{sentence[:40]}…' has more than the 75 tokens that CLIP reads.")
    tokens: Tensor = tokenizer(list(sentences))
    return tokens


@cache
def _tokenizer() -> Any:
    from open_clip import SimpleTokenizer

    return SimpleTokenizer()
