"""Words as vectors of the joint space, which is that of the ImageNet classifier's 1000 rows.

A word is compared with every class by MiniLM (its names, its gloss, both); a softmax over the classes mixes their
centred rows, as photographs corrected them (`word_rows.py`), and the vectors of kinds learned from photographs, whose
names alone count. The classes' own MiniLM vectors are computed once (`class_texts.safetensors`) and shipped, as are
those of the words that are asked for most (`words.safetensors`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.embedded import text
from ovss_personal.bases.embedded.encoder import CLASSES
from ovss_personal.bases.embedded.files import REINSTALL, header, load, sha256
from ovss_personal.bases.embedded.text import TextEncoder
from ovss_personal.bases.embedded.word_rows import NAME_TEMPERATURE, OWN_NAME, WordRows
from ovss_personal.bases.words import Words
from ovss_personal.errors import WeightsError
from ovss_personal.store.words import WordCache

TEMPERATURE = 0.10
BLOCK = 16
TABLE = "words.safetensors"
FIT_WORDS = "fit_words.safetensors"
_NAMES = Path(__file__).parent / "imagenet_classes.txt"


def imagenet_names() -> tuple[tuple[str, ...], ...]:
    """Of each class of the classifier its names, the usual one first."""
    return tuple(tuple(line.split(", ")) for line in _NAMES.read_text("utf-8").splitlines())


class TextVectors(Words):
    """Words -> MiniLM vectors (384,), of which a table ships.

    The encoder is read when first a word is in neither the table nor the cache.

    Args:
        folder: holds `text.safetensors`, `tokenizer.json` and, it may be, the table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        cache = WordCache(text_fingerprint(folder))
        super().__init__(lambda word: self._encoder(word), text.DIM, cache, self._table)

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder(self.folder)

    def _table(self) -> Mapping[str, Tensor]:
        path = self.folder / TABLE
        return read_table(path) if path.exists() else {}


def read_table(path: Path) -> dict[str, Tensor]:
    """Word -> vector of a file that `training.carry_weights` made. Raises WeightsError if it is broken."""
    words, vectors = header(path).get("words", "").split("\n"), load(path).get("vectors")
    if vectors is None or vectors.dim() != 2 or len(vectors) != len(words):
        raise WeightsError("is no table of words.", path=path, hint=REINSTALL)
    return dict(zip(words, vectors, strict=True))


def fit_words(folder: Path, fingerprint: str) -> dict[str, Tensor]:
    """COCO-Stuff's words in the joint space, which every concept is learned among; none if they were made for others.

    Args:
        folder: may hold `FIT_WORDS`.
        fingerprint: `words_fingerprint` of the weights in use.
    """
    path = folder / FIT_WORDS
    return read_table(path) if path.exists() and header(path).get("made_for") == fingerprint else {}


def words_fingerprint(encoder: Path, class_texts: Path, word_rows: Path, text_folder: Path) -> str:
    """sha256 over everything that a word's place in the joint space depends on."""
    files = (sha256(encoder), sha256(class_texts), sha256(word_rows), text_fingerprint(text_folder))
    parts = (*files, str(TEMPERATURE), str(NAME_TEMPERATURE), str(OWN_NAME))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def text_fingerprint(folder: Path) -> str:
    """sha256 over everything that a word's vector depends on."""
    names = ("text.safetensors", "tokenizer.json", TABLE)
    parts = [f"{name}={sha256(folder / name)}" for name in names if (folder / name).exists()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


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

    @classmethod
    def load(cls, path: Path) -> ClassTexts:
        """Raises WeightsError if the file is missing, broken or holds something else."""
        tensors = load(path)
        try:
            return cls(owner=tensors.pop("owner").long(), **tensors)
        except (KeyError, TypeError) as error:
            raise WeightsError(f"does not hold this base's tensors ({error}).", path=path, hint=REINSTALL) from error

    def similarity(self, texts: Tensor) -> Tensor:
        """(W, 384) -> (W, 1000): mean of three cosines, best name, gloss and both."""
        by_name = texts @ self.names.T
        best = by_name.new_full((len(texts), CLASSES), -1.0)
        best = best.scatter_reduce(1, self.owner.expand(len(texts), -1), by_name, "amax")
        return (best + texts @ self.glosses.T + texts @ self.both.T) / 3


class WordSpace:
    """Words -> unit vectors (D,) of the joint space.

    Args:
        rows: (1000, D) the classifier's rows.
        texts: the classes' MiniLM vectors.
        vectors: words -> MiniLM vectors.
        learned: what photographs told; without it, words are mixed of the classifier's rows alone.
        known: words whose vectors are there already.
    """

    def __init__(
        self,
        rows: Tensor,
        texts: ClassTexts,
        vectors: Words,
        learned: WordRows | None = None,
        known: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.rows = rows - rows.mean(0)
        self.texts = texts
        self.vectors = vectors
        self.learned = learned
        self._corrected = learned.shifted(self.rows) if learned else self.rows
        self._known = dict(known or {})

    def encode(self, words: Sequence[str]) -> Tensor:
        """(W, D), unit norm."""
        new = list(dict.fromkeys(word for word in words if word not in self._known))
        for block, vectors in self._blocks(new):
            self._known |= zip(block, self._mixed(vectors), strict=False)
        return torch.stack([self._known[word] for word in words]) if words else self.rows[:0]

    def _mixed(self, vectors: Tensor) -> Tensor:
        logits = self.texts.similarity(vectors) / TEMPERATURE
        of_classes = mixed(logits, self._corrected)
        if self.learned is None:
            return of_classes
        share = torch.cat((logits, self.learned.logits(vectors)), 1).softmax(1)[:, CLASSES:]
        return F.normalize((1 - share.sum(1, keepdim=True)) * of_classes + share @ self.learned.kinds, dim=1)

    def _blocks(self, words: Sequence[str]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """Blocks of words with their (BLOCK, 384) MiniLM vectors, the last one filled up with zeros.

        Products of always the same shape round a row in the same way, whatever its company.
        """
        vectors = self.vectors(words)
        for start in range(0, len(words), BLOCK):
            block = vectors[start : start + BLOCK]
            yield words[start : start + BLOCK], F.pad(block, (0, 0, 0, BLOCK - len(block)))

    def siblings(self, class_name: str, count: int = 40) -> Tensor:
        """(≤ count, D), unit norm: the rows of `sibling_classes`."""
        return F.normalize(self.rows[self.sibling_classes(class_name, count)], dim=1)

    def sibling_classes(self, class_name: str, count: int = 40, near: float = 0.5) -> Tensor:
        """(≤ count,) the classes nearest to the class name, nearest first, without those that mean the thing itself.

        A class whose row has a cosine above `near` with the class word is left out, the word being mixed of the
        classifier's rows too.
        """
        ((_, vectors),) = self._blocks([class_name])
        similarity = self.texts.similarity(vectors)
        nearest = similarity[0].topk(count).indices
        rows = F.normalize(self.rows[nearest], dim=1)
        return nearest[rows @ mixed(similarity / TEMPERATURE, self.rows)[0] <= near]


def mixed(logits: Tensor, rows: Tensor) -> Tensor:
    """(W, 1000) of words to classes, (1000, D) -> (W, D), unit norm."""
    return F.normalize((logits.softmax(1) - 1 / CLASSES) @ rows, dim=1)
