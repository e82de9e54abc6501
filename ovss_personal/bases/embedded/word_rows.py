"""What photographs told about words: which way a class really lies in the joint space, and kinds that ImageNet lacks.

A classifier's row separates its class from 999 others, not a dog of any breed from whatever else photographs hold.
Real masks, pooled as proposals are and judged by the classifier, show which way each class really lies: its shift. A
kind that was marked by hand (person, cow, oven) has a vector of its own, which holds for words near to its names.
Made by `python -m ovss_personal.training.word_rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ovss_personal.bases.embedded.files import REINSTALL, load
from ovss_personal.errors import WeightsError

NAME_TEMPERATURE = 0.05
OWN_NAME = 11.0  # logit of a word that is a kind's name; one of the 1000 classes has at most 10


@dataclass(frozen=True)
class WordRows:
    """
    Attributes:
        seen: (S,) int64, the classes that have a shift.
        shifts: (S, D) what is added to their rows.
        kinds: (K, D), unit norm.
        names: (L, 384) MiniLM vectors of the kinds' names.
        owner: (L,) int64, the kind of each name.
    """

    seen: Tensor
    shifts: Tensor
    kinds: Tensor
    names: Tensor
    owner: Tensor

    @classmethod
    def load(cls, path: Path) -> WordRows:
        """Raises WeightsError if the file is missing, broken or holds something else."""
        tensors = load(path)
        try:
            return cls(seen=tensors.pop("seen").long(), owner=tensors.pop("owner").long(), **tensors)
        except (KeyError, TypeError) as error:
            raise WeightsError(f"does not hold this base's tensors ({error}).", path=path, hint=REINSTALL) from error

    def shifted(self, rows: Tensor) -> Tensor:
        """(1000, D) of the classifier -> where words of these classes lie."""
        return rows.index_add(0, self.seen, self.shifts)

    def logits(self, texts: Tensor) -> Tensor:
        """(W, 384) -> (W, K): how near a word is to the best of each kind's names."""
        by_name = texts @ self.names.T
        best = by_name.new_full((len(texts), len(self.kinds)), -1.0)
        best = best.scatter_reduce(1, self.owner.expand(len(texts), -1), by_name, "amax")
        return OWN_NAME - (1 - best) / NAME_TEMPERATURE
