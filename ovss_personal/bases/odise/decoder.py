"""The masked transformer decoder: 100 queries become 100 masks and their embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.odise.pixel_decoder import WIDTH, sine_position

QUERIES = 100
LAYERS = 9


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        out: Tensor = last(x)
        return out


class CrossAttention(nn.Module):
    """The queries look at a level of the memory, each where its last mask was."""

    def __init__(self, heads: int = 8):
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, at: Tensor, memory: Tensor, position: Tensor, hidden: Tensor) -> Tensor:
        """Shape: x and at (B, Q, 256), memory (B, S, 256), position (S, 256), hidden (B, Q, S) bool -> as x."""
        per_head = hidden.repeat_interleave(self.multihead_attn.num_heads, 0)
        seen = self.multihead_attn(x + at, memory + position, memory, attn_mask=per_head, need_weights=False)[0]
        out: Tensor = self.norm(x + seen)
        return out


class SelfAttention(nn.Module):
    """The queries look at each other."""

    def __init__(self, heads: int = 8):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        out: Tensor = self.norm(x + self.self_attn(x + at, x + at, x, need_weights=False)[0])
        return out


class FeedForward(nn.Module):
    def __init__(self, hidden: int = 2048):
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, hidden)
        self.linear2 = nn.Linear(hidden, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x + self.linear2(self.linear1(x).relu()))
        return out


class PostMaskEmbed(nn.Module):
    """What is in a mask, in the space that words are projected to."""

    def __init__(self) -> None:
        super().__init__()
        self.pool_proj = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH))
        self.mask_embed = nn.Sequential(nn.LayerNorm(WIDTH), MLP(*[WIDTH] * 4))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, queries: Tensor, pooled: Tensor) -> Tensor:
        """Shape: queries and pooled mask features (..., 256) -> mask embeddings (..., 256), not normalised."""
        out: Tensor = self.mask_embed(queries + self.pool_proj(pooled))
        return out


def pool(mask_features: Tensor, masks: Tensor) -> Tensor:
    """(B, C, h, w), logits (B, Q, h, w) -> (B, Q, C): the mean of the features where a mask is above 0.5."""
    inside = (masks > 0).flatten(2).to(mask_features)
    return inside @ mask_features.flatten(2).mT / (inside.sum(2, keepdim=True) + 1e-8)


class MaskDecoder(nn.Module):
    """Nine layers over the three levels of the memory in turn.

    Args:
        objectness: whether it says "object" or "nothing" of each query (the caption model).
    """

    def __init__(self, objectness: bool):
        super().__init__()
        self.transformer_cross_attention_layers = nn.ModuleList(CrossAttention() for _ in range(LAYERS))
        self.transformer_self_attention_layers = nn.ModuleList(SelfAttention() for _ in range(LAYERS))
        self.transformer_ffn_layers = nn.ModuleList(FeedForward() for _ in range(LAYERS))
        self.decoder_norm = nn.LayerNorm(WIDTH)
        self.query_feat = nn.Embedding(QUERIES, WIDTH)
        self.query_embed = nn.Embedding(QUERIES, WIDTH)
        self.level_embed = nn.Embedding(3, WIDTH)
        self.mask_embed = MLP(*[WIDTH] * 4)
        self.post_mask_embed = PostMaskEmbed()
        self.class_embed = nn.Linear(WIDTH, 2) if objectness else None

    def forward(self, memory: Sequence[Tensor], mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """The last of `outputs`."""
        *_, last = self.outputs(memory, mask_features)
        return last

    def outputs(self, memory: Sequence[Tensor], mask_features: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Before the first layer and after each: the queries (B, 100, 256) and their mask logits (B, 100, h, w).

        Shape: memory three maps (B, 256, ...) from coarse to fine, mask_features (B, 256, h, w).
        """
        sizes = [(m.shape[2], m.shape[3]) for m in memory]
        levels = [m.flatten(2).mT + embed for m, embed in zip(memory, self.level_embed.weight, strict=True)]
        positions = [sine_position(h, w, m.device).to(m) for (h, w), m in zip(sizes, memory, strict=True)]
        batch = len(mask_features)
        x = self.query_feat.weight.expand(batch, -1, -1)
        at = self.query_embed.weight.expand(batch, -1, -1)
        queries, masks = self._heads(x, mask_features)
        yield queries, masks
        layers = zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        )
        for i, (cross, own, feed_forward) in enumerate(layers):
            level = i % len(levels)
            x = cross(x, at, levels[level], positions[level], hidden_cells(masks, sizes[level]))
            x = feed_forward(own(x, at))
            queries, masks = self._heads(x, mask_features)
            yield queries, masks

    def _heads(self, x: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        queries: Tensor = self.decoder_norm(x)
        return queries, torch.einsum("bqc,bchw->bqhw", self.mask_embed(queries), mask_features)

    def embed(self, queries: Tensor, masks: Tensor, mask_features: Tensor) -> Tensor:
        """The mask embeddings (B, 100, 256), not normalised.  # Z"""
        out: Tensor = self.post_mask_embed(queries, pool(mask_features, masks))
        return out

    @property
    def logit_scale(self) -> Tensor:
        """() what multiplies the cosines of mask embeddings and words, at most 100."""
        return self.post_mask_embed.logit_scale.exp().clamp(max=100)


@torch.no_grad()
def hidden_cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits (B, Q, ...) -> (B, Q, h · w) bool: what the next layer does not see; an empty mask hides nothing."""
    hidden = (F.interpolate(masks, size, mode="bilinear", align_corners=False) < 0).flatten(2)
    return hidden & ~hidden.all(2, keepdim=True)
