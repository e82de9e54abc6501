"""What a photo was labelled with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ovss_personal.structures import BoolMask, RGBImage

if TYPE_CHECKING:
    from PIL.Image import Image

LabelMap = npt.NDArray[np.int32]  # (H, W), an index into words


@dataclass(frozen=True)
class Segmentation:
    """A label for every pixel of one image, at the image's own size.

    Attributes:
        labels: (H, W) int32, an index into `words`; not to be changed, as areas are counted once.
        words: the vocabulary in the user's order, then the base's own extra word (`other`), then the concepts.
        scores: per word, the largest share it has of any pixel, in [0, 1].
        concepts: those of `words` that are personal.
        image: (H, W, 3) uint8, what was segmented.
    """

    labels: LabelMap
    words: tuple[str, ...]
    scores: tuple[float, ...]
    concepts: tuple[str, ...]
    image: RGBImage

    @cached_property
    def _pixels(self) -> npt.NDArray[np.intp]:
        """(len(words),) how many pixels each word has: one pass over the image, not one a word."""
        return np.bincount(self.labels.ravel(), minlength=len(self.words))

    def _index(self, word: str) -> int:
        try:
            return self.words.index(word)
        except ValueError:
            from ovss_personal.errors import VocabularyError

            raise VocabularyError(
                f"'{word}' is not among the words of this segmentation: {', '.join(self.words)}."
            ) from None

    def mask(self, word: str) -> BoolMask:
        """(H, W) bool, true where the label is `word`. Raises VocabularyError if it is not a word here."""
        return np.asarray(self.labels == self._index(word))

    def area(self, word: str) -> float:
        """Share of the image's pixels labelled `word`, in [0, 1]."""
        return float(self._pixels[self._index(word)] / self.labels.size)

    def score(self, word: str) -> float:
        """The largest share that `word` has of any pixel, in [0, 1]."""
        return self.scores[self._index(word)]

    def present(self, word: str, min_area: float = 0.001) -> bool:
        """Whether at least `min_area` of the image is labelled `word`."""
        return self.area(word) >= min_area

    def to_coco(self) -> list[dict[str, Any]]:
        """One COCO annotation (compressed RLE, `category` by name) for every word that has a pixel."""
        from pycocotools import mask as coco_mask

        annotations = []
        for index in np.flatnonzero(self._pixels):
            word = self.words[int(index)]
            rle = coco_mask.encode(np.asfortranarray(self.mask(word).astype(np.uint8)))
            annotations.append(
                {
                    "category": word,
                    "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
                    "area": int(coco_mask.area(rle)),
                    "bbox": [float(v) for v in coco_mask.toBbox(rle)],
                    "score": self.score(word),
                }
            )
        return annotations

    def overlay(self, opacity: float = 0.55) -> Image:
        """The image with every label in its colour, concepts outlined, and a legend (RGB picture)."""
        from ovss_personal.painting.overlay import draw_overlay

        return draw_overlay(self.image, self.labels, self.words, concepts=self.concepts, opacity=opacity)
