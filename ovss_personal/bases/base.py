"""What a base is. A base knows images and words; it does not know that personalisation exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ovss_personal.config import BaseConfig, Competitors, FitConfig
from ovss_personal.structures import BaseTraits, Proposals, RGBImage

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Base(Protocol):
    """A frozen open-vocabulary segmenter, made from a `BaseConfig` alone.

    Attributes:
        name: as `--base` takes it.
        fingerprint: sha256 over the weights and every setting that changes the output.
        config: the settings it was loaded with.
        device: what it computes on, and where the tensors are that it returns.
        fit_defaults: the settings of a fit that are right for it.
        paper_defaults: the paper's method, with the paper's numbers for this base.
        traits: what the personal code must know of it, in numbers.
        num_proposals, dim: N and D.
        extra_words: labels of its own beside the user's words (the embedded base: `other`).
    """

    name: str
    fingerprint: str
    config: BaseConfig
    device: torch.device
    fit_defaults: FitConfig
    paper_defaults: FitConfig
    traits: BaseTraits
    num_proposals: int
    dim: int
    extra_words: tuple[str, ...]

    def encode(self, words: Sequence[str]) -> Tensor:
        """(V, D) unit norm, in the order given; computed once a word."""

    def propose(self, images: Sequence[RGBImage]) -> list[Proposals]:
        """The one pass: (H, W, 3) uint8 images of any size -> what is seen in each."""

    def word_scores(self, proposals: Proposals, text: Tensor) -> Tensor:
        """(N, V + extra words) probability of each word for each proposal; text (V, D)."""

    def competitors(self, class_name: str, kind: Competitors) -> Tensor:
        """(C, D) unit norm: competitors of a concept of that class; none are (0, D)."""


@runtime_checkable
class PhraseReader(Protocol):
    """What a base with a text encoder of its own may offer beside `Base`."""

    def read_phrase(self, texts: Sequence[str], vectors: Sequence[Tensor]) -> Tensor:
        """(D,) unit norm of a phrase that has a pseudo-word after each of its texts but the last.

        Args:
            texts: what stands before, between and after the pseudo-words.
            vectors: (D,) unit norm, what `encode` would give for each pseudo-word.
        """
