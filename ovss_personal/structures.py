"""The records that every part of the program speaks: shots, and what a base saw and is.

Torch is imported only for type checkers, so that reading a shot costs no torch import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ovss_personal.pixels.images import RGBImage as RGBImage
from ovss_personal.pixels.images import rgb_of, sha256_of
from ovss_personal.pixels.masks import BoolMask as BoolMask
from ovss_personal.pixels.masks import labels_of, mask_of

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

Progress = Callable[[int, int, str], None]  # called with what is done, of how many, and the stage


@dataclass(frozen=True, init=False)
class Shot:
    """One photo and the mask of the personal object in it, both upright and of one size.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, true on the object; never empty.
        name: how to call the shot in a message, e.g. `images/3.jpg`.
        sha256: of the image file's bytes, or of the image's pixels.
        ignore: (H, W) bool, true where the mask says "do not count" (VOC's 255), or None.
    """

    image: RGBImage
    mask: BoolMask
    name: str
    sha256: str
    ignore: BoolMask | None

    def __init__(
        self,
        image: Image | npt.NDArray[np.uint8],
        mask: Image | npt.ArrayLike,
        name: str = "shot",
        sha256: str | None = None,
        ignore: Image | npt.ArrayLike | None = None,
    ) -> None:
        """A shot of pictures or arrays of other kinds than those it keeps.

        Args:
            image: a Pillow picture, which is turned upright, or a uint8 array: grey, RGB or RGBA.
            mask: a Pillow picture or an array of the image's size: bool, 0 and one other label (1, 255, ...), greys,
                or shares in 0..1, of which those over 0.5 count. What of it is the object: `pixels.masks`.
            name: how to call the shot in a message.
            sha256: of the image file's bytes; by default of the image's pixels, which an album's files are not
                compared with.
            ignore: not 0 where not to count; a picture or an array, as the mask.

        Raises:
            ImageError: the image is of another kind, or empty.
            MaskError: the mask is of another kind or size than the image, empty, or does not say which of its labels
                is the object.
        """
        pixels = rgb_of(image, path=name)
        size = (pixels.shape[0], pixels.shape[1])
        marked, void = mask_of(mask, size, name)
        if ignore is not None:
            ignored = labels_of(ignore, size, name, "area to ignore").array != 0
            ignored = ignored if void is None else ignored | void
            void = ignored if ignored.any() else None
        values = (pixels, marked, name, sha256_of(pixels) if sha256 is None else sha256, void)
        for place, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, place.name, value)  # frozen


@dataclass(frozen=True)
class Canvas:
    """How an image lies in a base's input: resized to `resized`, then padded at the right and bottom.

    All sizes are (height, width) in pixels. A mask grid covers the whole of `padded`.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    padded: tuple[int, int]


@dataclass(frozen=True)
class Proposals:
    """What a frozen base saw in one image (method.md, section 1); independent of any word.

    Attributes:
        masks: (N, h, w) float32 logits on the base's grid.  # M_open
        embeddings: (N, D) float32, unit norm in the joint image-text space.  # Z_open
        features: (D, h', w') float32 dense features in the joint space.  # F of eq. 6
        canvas: how the image lies under the grid.
        extras: what the base's own word rule needs beside these (ODISE: mask-pooled CLIP).
    """

    masks: Tensor
    embeddings: Tensor
    features: Tensor
    canvas: Canvas
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Proposals:
        """The same on a device."""
        return replace(
            self,
            masks=self.masks.to(device),
            embeddings=self.embeddings.to(device),
            features=self.features.to(device),
            extras={name: tensor.to(device) for name, tensor in self.extras.items()},
        )

    def rounded(self) -> Proposals:
        """The same with mask logits that float16 holds, as a cache keeps them; float32 still."""
        limit = 65504.0  # the largest that float16 holds
        return replace(self, masks=self.masks.clamp(-limit, limit).half().float())


WordRule = Callable[[Proposals, "Tensor"], "Tensor"]
"""A base's inference rule: proposals, text (V, D) -> probabilities (N, V + extra words)."""


@dataclass(frozen=True)
class BaseTraits:
    """What the personal code must know of a base, in numbers (Base.traits).

    Attributes:
        logit_scale: s of method.md; multiplies cosines before the softmax.
        void: (1, D) embedding of "no object", or None if the base has none.
        dice, bce, cls: λ1, λ2, λ3 of eq. 1.
        no_object: weight of a proposal that is not the concept, in the classification loss.
        positives: "bipartite" (one proposal a shot, by matching cost) or "overlap" (every proposal that covers
            the object or a large part of it, and the best one).
        contrast: β of the base's mask pooling, one number or (D,) of them; 0 is eq. 6 as printed, 1 subtracts the
            mean outside the mask.
        threshold: share of a pixel above which it is personal when competitors are on, learned from five shots.
        threshold_growth: the power of the number of shots with which that grows up to five, as fewer say less of a
            thing; 0 is the same for any number.
        competitor_scale: takes the place of `logit_scale` in the odds against competitors; None is the same.
        paper_threshold: the threshold without them; None takes the arg max over all words, as the paper does.
    """

    logit_scale: float
    void: Tensor | None = None
    dice: float = 5.0
    bce: float = 5.0
    cls: float = 2.0
    no_object: float = 0.1
    positives: Literal["bipartite", "overlap"] = "bipartite"
    contrast: float | Tensor = 0.0
    threshold: float = 0.5
    threshold_growth: float = 0.0
    competitor_scale: float | None = None
    paper_threshold: float | None = None

    def threshold_of(self, shots: int) -> float:
        """`threshold` for a concept that was learned from so many shots."""
        return float(self.threshold * min(1, shots / 5) ** self.threshold_growth)

    def among_competitors(self) -> BaseTraits:
        """The traits as they are for a concept that is scored against competitors."""
        return self if self.competitor_scale is None else replace(self, logit_scale=self.competitor_scale)
