"""SAN's side adapter: a slim ViT beside CLIP that sees the image at full resolution and CLIP's features as they come.

It knows nothing of words: it proposes masks, and tells CLIP where each of its mask tokens should look.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovss_personal.bases.san.clip import ClipTaps, as_picture, resize_positions
from ovss_personal.bases.san.mask_decoder import MaskDecoder

QUERIES = 100  # N
WIDTH, HEADS, DEPTH = 240, 6, 8
PATCH = 16  # pixels a side, the stride of the mask logits
TABLE = (40, 40)  # the stored position table, that of 640 x 640 pixels
EPS = 1e-6


class SideAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)  # (B, heads, L, 40)
        mixed: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return mixed


class SideMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SideBlock(nn.Module):
    """One pre-norm block. Shape: (B, L, 240) -> (B, L, 240)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=EPS)
        self.attn = SideAttention()
        self.norm2 = nn.LayerNorm(WIDTH, eps=EPS)
        self.mlp = SideMlp()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, kernel_size=PATCH, stride=PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        patches: Tensor = self.proj(pixels)  # (B, 240, hs, ws)
        return patches


class SideViT(nn.Module):
    """The tensors of the slim ViT: no class token, no last norm. `SideAdapter` runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, TABLE[0] * TABLE[1], WIDTH))
        self.patch_embed = PatchEmbed()
        self.blocks = nn.ModuleList(SideBlock() for _ in range(DEPTH))

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """(1, hs·ws, 240). The published weights were trained to compare the number of cells, not the shape."""
        if grid[0] * grid[1] == self.pos_embed.shape[1]:
            return self.pos_embed
        return resize_positions(self.pos_embed[0], TABLE, grid)[None]


class Fusion(nn.Module):
    """One tap of CLIP, brought to the side adapter's width and grid."""

    def __init__(self, clip_width: int) -> None:
        super().__init__()
        self.input_proj = nn.Sequential(nn.LayerNorm(clip_width, eps=EPS), nn.Conv2d(clip_width, WIDTH, kernel_size=1))

    def forward(self, picture: Tensor, grid: tuple[int, int]) -> Tensor:
        """Shape: (B, C, hc, wc) -> (B, hs·ws, 240)."""
        norm, project = self.input_proj
        x = project(norm(picture.movedim(1, 3)).movedim(3, 1))
        return F.interpolate(x, grid, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class SideAdapter(nn.Module):
    """Args: CLIP's width, heads, and how many of its taps are fused (tap i before block i + 1)."""

    def __init__(self, *, clip_width: int, clip_heads: int, taps: int) -> None:
        super().__init__()
        self.query_embed = nn.Parameter(torch.empty(1, QUERIES, WIDTH))
        self.query_pos_embed = nn.Parameter(torch.empty(1, QUERIES, WIDTH))
        self.vit_model = SideViT()
        self.fusion_layers = nn.ModuleDict({f"layer_{stage}": Fusion(clip_width) for stage in range(taps)})
        self.mask_decoder = MaskDecoder(WIDTH, clip_heads)

    def forward(self, pixels: Tensor, taps: ClipTaps, depths: Sequence[int] = (DEPTH,)) -> list[tuple[Tensor, Tensor]]:
        """Normalised pixels (B, 3, H, W), multiples of 16 -> masks and biases after the blocks named by `depths`.

        Shape: for each depth (B, 100, H/16, W/16) mask logits and (B, CLIP's heads, 100, H/16, W/16) biases. The
        last block's are the proposals; training also uses block 7's.
        """
        patches = self.vit_model.patch_embed(pixels)
        grid = (patches.shape[2], patches.shape[3])
        tokens = torch.cat((self.query_embed.expand(len(pixels), -1, -1), patches.flatten(2).transpose(1, 2)), 1)
        positions = torch.cat((self.query_pos_embed, self.vit_model.positions(grid)), 1)
        x = self._fuse(tokens + positions, taps, 0, grid)
        decoded = []
        for depth, block in enumerate(self.vit_model.blocks, 1):
            x = self._fuse(block(x), taps, depth, grid)
            if depth in depths:
                decoded.append(self.mask_decoder(x[:, :QUERIES], as_picture(x[:, QUERIES:], grid)))
            x = x + positions
        return decoded

    def _fuse(self, x: Tensor, taps: ClipTaps, stage: int, grid: tuple[int, int]) -> Tensor:
        """Add CLIP's features to the image tokens, if this stage has a tap; the queries stay as they are."""
        if stage >= len(taps.tokens):
            return x
        features = self.fusion_layers[f"layer_{stage}"](taps.map(stage), grid)
        return torch.cat((x[:, :QUERIES], x[:, QUERIES:] + features), 1)
