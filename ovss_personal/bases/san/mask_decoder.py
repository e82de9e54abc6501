"""SAN's mask decoder: from queries and the side adapter's map to masks, and to biases for CLIP's attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 256  # E, also the width in which queries and pixels meet

pointwise = partial(nn.Conv2d, kernel_size=1)


class MLP(nn.Module):
    """Three layers with ReLU between, of a kind: linear for tokens, 1x1 convolutions for maps."""

    def __init__(self, layer: Callable[[int, int], nn.Module], width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList((layer(width, HIDDEN), layer(HIDDEN, HIDDEN), layer(HIDDEN, out)))

    def hidden(self, x: Tensor) -> Tensor:
        """What the last layer is applied to."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return x

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers[-1](self.hidden(x))
        return out


class MaskDecoder(nn.Module):
    """Args: `width` of the side adapter, `heads` of CLIP's attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_mlp = MLP(nn.Linear, width, HIDDEN)
        self.pix_mlp = MLP(pointwise, width, HIDDEN)
        self.attn_mlp = MLP(pointwise, width, heads * HIDDEN)
        self.bias_scaling = nn.Linear(1, 1)

    def forward(self, queries: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, N, width) and map (B, width, hs, ws) -> mask logits and attention biases.

        Shape: (B, N, hs, ws) and (B, heads, N, hs, ws).
        """
        q = self.query_mlp(queries)  # (B, N, E)
        masks = torch.einsum("bnc,bchw->bnhw", q, self.pix_mlp(picture))
        return masks, self._biases(q, self.attn_mlp.hidden(picture))

    def _biases(self, q: Tensor, hidden: Tensor) -> Tensor:
        """Product of the queries with the last layer of `attn_mlp`.

        The queries are multiplied into its weights first: N·heads rows instead of its heads·E channels at every
        pixel, a third of the work.
        """
        last = self.attn_mlp.layers[-1]
        weight = last.get_parameter("weight").view(self.heads, HIDDEN, HIDDEN)  # (heads, E out, E in)
        rows = torch.einsum("bnc,ack->bank", q, weight)
        offset = torch.einsum("bnc,ac->ban", q, last.get_parameter("bias").view(self.heads, HIDDEN))
        biases = torch.einsum("bank,bkhw->banhw", rows, hidden) + offset[..., None, None]
        return biases * self.bias_scaling.weight + self.bias_scaling.bias
