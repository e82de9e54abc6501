"""The implicit captioner: CLIP's view of a window, made into a caption that no one wrote."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovss_personal.bases.odise.sizes import Size


class Projection(nn.Module):
    """(B, C) -> (B, slots, D): one linear layer for all slots, and an embedding of each."""

    def __init__(self, inputs: int, slots: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.positional_embedding = nn.Parameter(torch.zeros(1, slots, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)[:, None] + self.positional_embedding
        return out


class ImplicitCaptioner(nn.Module):
    """What steers the UNet: the empty caption, moved by what CLIP sees. The gates start at 0, the empty caption."""

    def __init__(self, size: Size, slots: int = 77):
        super().__init__()
        self.alpha_cond = nn.Parameter(torch.zeros(1, slots, size.context))
        self.alpha_cond_time_embed = nn.Parameter(torch.zeros(size.time))
        self.clip_project = Projection(size.clip_dim, slots, size.context)
        self.time_embed_project = Projection(size.clip_dim, 1, size.time)

    def forward(self, image: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
        """The context of the UNet's cross-attention and the term of its time embedding.

        Shape: image (B, clip_dim) CLIP embeddings of the windows, not normalised, empty (1, 77, context)
        -> (B, 77, context), (B, time).
        """
        context = empty + self.alpha_cond.tanh() * self.clip_project(image)
        time = self.alpha_cond_time_embed.tanh() * self.time_embed_project(image)
        return context, time[:, 0]
