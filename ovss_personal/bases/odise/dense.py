"""Eq. 6 wants features that can be averaged under a mask, in the space of words. ODISE has no such map; these stand in.

Its Stable Diffusion features meet words only after they were pooled under a mask. So every cell of a grid is made a
mask of its own and goes the way of a mask: through `post_mask_embed`, with the query whose mask covers the cell best,
and through CLIP, as a probe that sees one patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.odise.decoder import PostMaskEmbed
from ovss_personal.bases.odise.network import Seen
from ovss_personal.structures import Canvas


def diffusion_cells(seen: Seen, post: PostMaskEmbed, size: tuple[int, int]) -> Tensor:
    """(256, h, w) unit norm, of what was seen in one image."""
    features = F.adaptive_avg_pool2d(seen.mask_features, size)[0].flatten(1).T  # (h·w, 256)
    owner = F.adaptive_avg_pool2d(seen.masks.sigmoid(), size)[0].flatten(1).argmax(0)
    return F.normalize(post(seen.queries[0, owner], features), dim=1).T.reshape(-1, *size)


def clip_cells(patches: Tensor, canvas: Canvas, size: tuple[int, int]) -> Tensor:
    """CLIP's embeddings of its own patches on the grid of the canvas.

    Shape: (P, clip_dim), one a patch of a square over the image without its padding -> (clip_dim, h, w) unit norm.
    """
    side = round(len(patches) ** 0.5)
    square = F.normalize(patches, dim=1).T.reshape(-1, side, side)
    axes = []
    for cells, padded, resized in zip(size, canvas.padded, canvas.resized, strict=True):
        centres = (torch.arange(cells, device=patches.device) + 0.5) * padded / cells
        axes.append(2 * centres / resized - 1)
    y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack((x, y), 2)[None].to(square)
    # Beyond the image lies padding, which no mask of the user's covers.
    sampled = F.grid_sample(square[None], grid, padding_mode="border", align_corners=False)[0]
    return F.normalize(sampled, dim=0)
