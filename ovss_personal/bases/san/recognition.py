"""SAN's recognition head: the last blocks of CLIP, in which each mask has a class token of its own.

These SOS tokens start as copies of CLIP's class token. Each sees itself and the patches, the latter with the
biases of its mask, and nobody sees the SOS tokens: the patch stream is the plain CLIP's. So their attention is not
one masked square of (101 + L)² but two products, 100 rows against everything and the plain stream by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.san.clip import ResidualBlock, as_picture

HIDDEN_FROM = -100.0  # finite, as in training


class RecognitionHead(nn.Module):
    """Args: `dim` is that of the joint image-text space."""

    def __init__(self, *, width: int, heads: int, depth: int, dim: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualBlock(width, heads) for _ in range(depth))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, dim))

    def forward(self, tokens: Tensor, grid: tuple[int, int], biases: Tensor) -> tuple[Tensor, Tensor]:
        """The last tap and the biases of N masks -> mask embeddings and dense features, both unit norm.

        The dense features, those of the paper's eq. 6, are the patch tokens of the final CLIP block of the plain
        stream through `ln_post` and `proj`: the same way to the joint space that the class token and the SOS tokens
        take, so that they can be mixed with words. They were not trained for it, as CLIP only trained its class
        token, but they are the only features per pixel that SAN has in that space.

        Shape: (B, 1 + hc·wc, C), (B, heads, N, hs, ws) -> (B, N, D), (B, D, hc, wc).
        """
        count = biases.shape[2]
        mask = sos_mask(biases, grid)

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            sos = F.scaled_dot_product_attention(q[:, :, :count], k, v, attn_mask=mask.to(q.dtype))
            plain = F.scaled_dot_product_attention(q[:, :, count:], k[:, :, count:], v[:, :, count:])
            return torch.cat((sos, plain), 2)

        x = torch.cat((tokens[:, :1].expand(-1, count, -1), tokens), 1)  # [SOS; class; patches]
        for block in self.resblocks:
            x = block(x, attend)
        joint = F.normalize((self.ln_post(x) @ self.proj).float(), dim=-1)
        return joint[:, :count], as_picture(joint[:, count + 1 :], grid)


def sos_mask(biases: Tensor, grid: tuple[int, int]) -> Tensor:
    """What is added to the attention logits of the SOS tokens.

    Shape: (B, heads, N, hs, ws) -> (B, heads, N, N + 1 + hc·wc), columns as the tokens: SOS, class, patches.
    """
    count = biases.shape[2]
    patches = F.adaptive_max_pool2d(biases.flatten(0, 1), grid).reshape(*biases.shape[:3], -1)
    own = torch.full((count, count + 1), HIDDEN_FROM, dtype=biases.dtype, device=biases.device)
    own.fill_diagonal_(0.0)
    return torch.cat((own.expand(*biases.shape[:2], -1, -1), patches), 3)
