"""From masks and feature maps to embeddings that describe what is under each mask.

Contrast pooling says what kind of thing it is: stride-32 features leak an object into its neighbourhood, so the mean
outside the mask is subtracted. Appearance says which one of its kind: colour and texture, which the deep features
were trained to forget, are still in the pixels and the maps of strides 4 to 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BETA = 1.0
APPEARANCE = 0.6  # its share of an embedding's squared length


@dataclass(frozen=True)
class JointSpace:
    """Kind (1280) and appearance (128) side by side in one space of D = 1408; words are zero in the second part.

    Attributes:
        mean: (1280,) of dense features over training scenes.
        appearance_mean: (195,) of training proposals.
        appearance_map: (195, 128), under which one thing seen anew stays where it was, and a copy in another paint
            goes elsewhere (training/identities.py).
        gain: how much longer a proposal's kind is than its mapped appearance, on average.
    """

    mean: Tensor
    appearance_mean: Tensor
    appearance_map: Tensor
    gain: float

    @property
    def dim(self) -> int:
        return len(self.mean) + self.appearance_map.shape[1]

    @property
    def contrast(self) -> Tensor:
        """(D,) how much of the mean outside a mask is subtracted, per channel."""
        return torch.cat((torch.full_like(self.mean, BETA), self.mean.new_zeros(self.appearance_map.shape[1])))

    def embeddings(self, masks: Tensor, dense: Tensor, appearance: Tensor) -> Tensor:
        """Mask logits (N, h, w), dense (1280, h', w') and appearance (195, h", w") maps -> (N, D), unit norm."""
        return self.joined(contrast_pool(masks, dense, self.mean), mean_pool(masks, appearance))

    def joined(self, kind: Tensor, appearance: Tensor) -> Tensor:
        """(N, 1280) unit norm and (N, 195) mean appearance -> (N, D), unit norm."""
        appearance = F.normalize((appearance - self.appearance_mean) @ self.appearance_map, dim=1)
        return torch.cat(((1 - APPEARANCE) ** 0.5 * kind, APPEARANCE**0.5 * appearance), 1)

    def features(self, dense: Tensor, appearance: Tensor) -> Tensor:
        """The two maps as one (D, h", w") whose masked means (eq. 6) point where `embeddings` do."""
        kind = F.interpolate((dense - self.mean[:, None, None])[None], appearance.shape[1:], mode="nearest")[0]
        mapped = torch.einsum("chw,cd->dhw", appearance - self.appearance_mean[:, None, None], self.appearance_map)
        return torch.cat((kind, self.gain * (APPEARANCE / (1 - APPEARANCE)) ** 0.5 * mapped))

    def padded(self, words: Tensor) -> Tensor:
        """(V, 1280) of words -> (V, D)."""
        return F.pad(words, (0, self.dim - len(self.mean)))


def contrast_pool(masks: Tensor, features: Tensor, mean: Tensor, beta: float = BETA) -> Tensor:
    """Mask logits and dense features -> one unit vector a mask.  Shape: as `contrast_mean`."""
    return F.normalize(contrast_mean(masks, features, mean, beta), dim=1)


def contrast_mean(masks: Tensor, features: Tensor, mean: Tensor, beta: float = BETA) -> Tensor:
    """(z_in - mean) - β (z_out - mean).

    Shape: masks (N, h, w) logits, features (D, h', w'), mean (D,) -> (N, D).
    z_in is the mean over sigmoid · [> 0.5], z_out the mean weighted by 1 - sigmoid.
    """
    size = (features.shape[1], features.shape[2])
    outside = F.adaptive_avg_pool2d(1 - masks.sigmoid(), size).flatten(1)  # (N, h'w')
    z_in = mean_pool(masks, features)
    z_out = outside @ features.flatten(1).T / outside.sum(1, keepdim=True).clamp(min=1e-6)
    return (z_in - mean) - beta * (z_out - mean)


def mean_pool(masks: Tensor, features: Tensor) -> Tensor:
    """The mean of the features under each mask, weighted by sigmoid · [> 0.5].

    Shape: masks (N, h, w) logits, features (D, h', w') -> (N, D).
    """
    soft = masks.sigmoid()
    size = (features.shape[1], features.shape[2])
    inside = F.adaptive_avg_pool2d(soft * (soft > 0.5), size).flatten(1)  # (N, h'w')
    # A mask without a pixel above one half still needs a place: its soft weights give it.
    inside = torch.where(inside.sum(1, keepdim=True) > 0, inside, F.adaptive_avg_pool2d(soft, size).flatten(1))
    return inside @ features.flatten(1).T / inside.sum(1, keepdim=True).clamp(min=1e-6)


def appearance(pixels: Tensor, taps: Sequence[Tensor]) -> Tensor:
    """One normalised image (3, H, W) and the encoder's taps of it, averaged to cells of 16 pixels -> (195, h", w").

    Smaller cells than those of stride 32 leave a small thing less of its neighbourhood.
    """
    size = (taps[2].shape[2], taps[2].shape[3])
    return torch.cat([F.adaptive_avg_pool2d(one, size) for one in (pixels, taps[0][0], taps[1][0], taps[2][0])])
