"""Mask-pooled CLIP: what CLIP would say of an image if it saw one mask of it at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.clip import FrozenClip


def visible_patches(masks: Tensor, side: int, patch: int = 14) -> Tensor:
    """Mask logits (B, Q, h, w) -> (B, Q, patches) bool: the mask reaches 0.5 somewhere in the patch."""
    stretched = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
    return (F.max_pool2d(stretched.sigmoid(), patch) >= 0.5).flatten(2)


def probe(clip: FrozenClip, images: Tensor, visible: Tensor) -> Tensor:
    """One CLIP embedding a probe, not normalised.

    A probe is an extra token that starts as the class token and looks at that token and at the patches visible to
    it; nothing looks at a probe, so the image's own pass is what it would be without.

    Shape: images (B, 3, H, W) in [0, 1], visible (B, Q, patches) bool -> (B, Q, clip_dim).
    """
    visual = clip.visual
    first = visual.get_parameter("class_embedding").expand(len(images), 1, -1)
    prepared = clip.prepare(images, "bilinear").to(first.dtype)
    patches = visual.get_submodule("conv1")(prepared).flatten(2).mT  # (B, P, width)
    tokens = torch.cat((first, patches), 1) + visual.get_parameter("positional_embedding")
    tokens = visual.get_submodule("ln_pre")(tokens)  # (B, 1 + P, width)
    probes = tokens[:, :1].expand(-1, visible.shape[1], -1)
    allowed = torch.cat((visible.new_ones(*visible.shape[:2], 1), visible), 2)  # (B, Q, 1 + P)
    blocks = list(visual.get_submodule("transformer.resblocks").children())
    for i, block in enumerate(blocks):
        probes = _look(block, probes, tokens, allowed)
        if i + 1 < len(blocks):  # the image's own last block is of no use to a probe
            tokens = block(tokens)
    out: Tensor = visual.get_submodule("ln_post")(probes) @ visual.get_parameter("proj")
    return out.float()


def _look(block: nn.Module, probes: Tensor, tokens: Tensor, allowed: Tensor) -> Tensor:
    """One of CLIP's residual blocks, for the probes."""
    norm, attention = block.get_submodule("ln_1"), block.get_submodule("attn")
    keys = norm(tokens)
    heads: int = attention.num_heads  # type: ignore[assignment]
    hidden = ~allowed.repeat_interleave(heads, 0)  # (B * heads, Q, 1 + P)
    probes = probes + attention(norm(probes), keys, keys, attn_mask=hidden, need_weights=False)[0]
    out: Tensor = probes + block.get_submodule("mlp")(block.get_submodule("ln_2")(probes))
    return out
