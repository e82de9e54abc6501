"""How good the proposals are on photographs that were kept back from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ovss_personal.bases.embedded.decoder import MaskDecoder
from ovss_personal.bases.embedded.encoder import Encoder, normalise
from ovss_personal.training.layouts import Photo
from ovss_personal.training.scenes import VOID

SIZE = 512  # as at inference: the photo is stretched to this square
EACH = 35  # photos of a set
SIZES = {"small": (0.005, 0.02), "middle": (0.02, 0.1), "large": (0.1, 1.01)}  # a thing's share of the photo


@torch.inference_mode()
def best_proposals(
    decoder: MaskDecoder, encoder: Encoder, sets: Mapping[str, Sequence[Photo]], each: int = EACH
) -> dict[str, float]:
    """Mean over things of the best IoU of any proposal, by the things' share of the photo."""
    if not sets:
        return {}
    training = decoder.training
    decoder.eval()
    device = next(decoder.parameters()).device
    found: dict[str, list[float]] = {name: [] for name in SIZES}
    for photo in (photo for photos in sets.values() for photo in photos[:each]):
        image, segments = photo.read()
        square = np.array(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(square).permute(2, 0, 1)[None].to(device)
        logits, _ = decoder(lower(encoder, pixels))
        small = np.array(Image.fromarray(segments).resize((logits.shape[3], logits.shape[2]), Image.Resampling.NEAREST))
        truth = torch.from_numpy(small).flatten().to(device)
        known = truth != VOID
        masks, truth = (logits[0] > 0).flatten(1)[:, known].float(), truth[known]
        for thing in torch.unique(truth[truth > 0]).tolist():
            where = (truth == thing).float()
            both = masks @ where
            best = float((both / (masks.sum(1) + where.sum() - both).clamp(min=1)).max())
            share = float(where.sum() / len(known))
            for name, (low, high) in SIZES.items():
                if low <= share < high:
                    found[name].append(best)
    decoder.train(training)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items() if values}


@torch.no_grad()
def lower(encoder: Encoder, images: Tensor) -> list[Tensor]:
    """(B, 3, H, W) uint8 -> what the decoder reads of the encoder, which is frozen."""
    return encoder.lower(normalise(images).contiguous(memory_format=torch.channels_last))
