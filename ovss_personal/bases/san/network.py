"""SAN as a whole, in both published sizes: an image in, masks and embeddings out; no word takes part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ovss_personal.bases.san.clip import Attention, VisualExtractor
from ovss_personal.bases.san.recognition import RecognitionHead
from ovss_personal.bases.san.side_adapter import SideAdapter
from ovss_personal.bases.san.text import text_classifier
from ovss_personal.structures import Canvas, RGBImage

SHORT_SIDE, LONG_SIDE = 640, 2560
MULTIPLE = 32  # of the padded sides
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# In the published files, but constants that need not be there.
OPTIONAL = ("criterion.empty_weight", "ov_classifier.attn_mask")


@dataclass(frozen=True)
class Variant:
    """What differs between the sizes.

    Attributes:
        clip: open_clip's name of the CLIP it is built on.
        width, heads, depth, patch, table: of CLIP's vision tower; `table` cells a side have stored positions.
        dim: D of the joint space.
        taps: after how many blocks CLIP's features go to the side adapter; the rest is the recognition head's.
        resolution: of CLIP's input, as a share of the image's.
    """

    clip: str
    width: int
    heads: int
    depth: int
    patch: int
    table: int
    dim: int
    taps: tuple[int, ...]
    resolution: float


VIT_B_16 = Variant(
    clip="ViT-B-16-quickgelu",
    width=768,
    heads=12,
    depth=12,
    patch=16,
    table=14,
    dim=512,
    taps=(0, 3, 6, 9),
    resolution=0.5,
)
VIT_LARGE_14 = Variant(
    clip="ViT-L-14-336-quickgelu",
    width=1024,
    heads=16,
    depth=24,
    patch=14,
    table=24,
    dim=768,
    taps=(0, 6, 12, 18),
    resolution=0.7,
)


class SanNetwork(nn.Module):
    """Its tensors are named as in the published checkpoints; `SanNetwork.load` makes it from them."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        v = variant
        self.variant = variant
        self.dtype = torch.float32
        self.clip_visual_extractor = VisualExtractor(
            width=v.width, heads=v.heads, patch=v.patch, table=v.table, taps=v.taps
        )
        self.side_adapter_network = SideAdapter(clip_width=v.width, clip_heads=v.heads, taps=len(v.taps))
        self.clip_rec_head = RecognitionHead(width=v.width, heads=v.heads, depth=v.depth - v.taps[-1], dim=v.dim)
        self.ov_classifier = text_classifier(v.clip)

    @classmethod
    def load(cls, variant: Variant, tensors: Mapping[str, Tensor]) -> SanNetwork:
        """The frozen network around the given tensors, which are not copied; names and shapes must be exact.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape.
        """
        with torch.device("meta"):
            network = cls(variant)
        context = network.ov_classifier.get_parameter("positional_embedding").shape[0]
        causal = torch.full((context, context), -torch.inf).triu(1)
        kept = {name: tensor for name, tensor in tensors.items() if name not in OPTIONAL}
        network.load_state_dict({**kept, "ov_classifier.attn_mask": causal}, strict=True, assign=True)
        return network.eval().requires_grad_(False)

    def lower(self, dtype: torch.dtype) -> None:
        """Run the matrix products of CLIP's vision tower, three fifths of the work, in that precision.

        Norms, position tables and the residual stream stay in float32, so do the text tower and the side adapter:
        the latter draws the masks, and in bfloat16 would be hardly faster and double their error.
        """
        self.dtype = dtype
        for part in (self.clip_visual_extractor, self.clip_rec_head):
            for module in part.modules():
                if isinstance(module, nn.Linear | nn.Conv2d | Attention):
                    module.to(dtype)

    @property
    def logit_scale(self) -> float:
        return float(self.ov_classifier.get_parameter("logit_scale").exp())

    @property
    def void(self) -> Tensor:
        """(1, D) unit norm: the row for "nothing"."""
        return F.normalize(self.ov_classifier.get_parameter("bg_embed"), dim=-1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised, padded pixels (B, 3, H, W) -> mask logits, mask embeddings and dense features.

        Shape: (B, 100, H/16, W/16); (B, 100, D) and (B, D, hc, wc), both unit norm; all float32.
        """
        lower = partial(torch.autocast, pixels.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with lower():
            taps = self.clip_visual_extractor(self.clip_input(pixels))
        ((masks, biases),) = self.side_adapter_network(pixels, taps)
        with lower():
            embeddings, features = self.clip_rec_head(taps.tokens[-1], taps.grid, biases)
        return masks, embeddings, features

    def clip_input(self, pixels: Tensor) -> Tensor:
        """The pixels at CLIP's resolution.

        The factor is given, not the size: where the size is rounded, positions still step by the factor itself.
        """
        return F.interpolate(
            pixels,
            scale_factor=self.variant.resolution,
            mode="bilinear",
            align_corners=False,
            recompute_scale_factor=False,
        )


def canvas_of(height: int, width: int) -> Canvas:
    """How an image lies in the network's input: the shorter side is 640 unless the longer one then exceeds 2560."""
    scale = SHORT_SIDE / min(height, width)
    scale *= min(1.0, LONG_SIDE / (scale * max(height, width)))
    rows, columns = (max(1, int(scale * side + 0.5)) for side in (height, width))
    return Canvas(
        original=(height, width),
        resized=(rows, columns),
        padded=(-(-rows // MULTIPLE) * MULTIPLE, -(-columns // MULTIPLE) * MULTIPLE),
    )


def preprocess(image: RGBImage, canvas: Canvas) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, *canvas.padded) float32, normalised and then padded with 0 (the mean colour)."""
    rows, columns = canvas.resized
    resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
    mean, std = (255 * torch.tensor(rgb).view(3, 1, 1) for rgb in (MEAN, STD))
    return F.pad((pixels - mean) / std, (0, canvas.padded[1] - columns, 0, canvas.padded[0] - rows))
