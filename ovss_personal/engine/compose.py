"""Words that contain a concept: "hat on my dog" with the learned "my dog" (the paper's section 5.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from ovss_personal.store.concept import Concept

Encode = Callable[[Sequence[str]], Tensor]  # words -> (V, D), as Base.encode
Way = Literal["joint", "token"]
ReadPhrase = Callable[[Sequence[str], Sequence[Tensor]], Tensor]  # as PhraseReader.read_phrase


@dataclass(frozen=True)
class Composition:
    """A phrase taken apart at the names of the concepts in it.

    Attributes:
        phrase: as the user wrote it, e.g. "hat on my dog".
        texts: what stands before, between and after the concepts, an article in place of a "my": "hat on a ", "".
        concepts: one fewer than `texts`.
    """

    phrase: str
    texts: tuple[str, ...]
    concepts: tuple[Concept, ...]

    @property
    def plain(self) -> str:
        """The phrase as anybody would say it: "hat on a dog"."""
        kinds = [concept.class_name for concept in self.concepts]
        return "".join(text + kind for text, kind in zip(self.texts, [*kinds, ""], strict=True))


def take_apart(phrase: str, concepts: Sequence[Concept]) -> Composition | None:
    """The phrase as a composition, or None if it contains no concept's name, or is nothing but one.

    Names are found as whole words in any letter case; of two that overlap, the longer.
    """
    by_name = {concept.name.casefold(): concept for concept in concepts}
    names = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    found = list(re.finditer(rf"(?<!\w)(?:{names})(?!\w)", phrase.casefold())) if names else []
    if not found or len(phrase.casefold()) != len(phrase) or found[0].group() == phrase.casefold():
        return None
    inside = tuple(by_name[match.group()] for match in found)
    starts, ends = [0, *(match.end() for match in found)], [*(match.start() for match in found), len(phrase)]
    articles = [*(_article(concept) for concept in inside), ""]
    texts = [phrase[a:b] + article for a, b, article in zip(starts, ends, articles, strict=True)]
    return Composition(phrase, tuple(texts), inside)


def compose(composition: Composition, encode: Encode, read_phrase: ReadPhrase | None) -> Tensor:
    """(D,) unit norm of a phrase.

    The way is `token` where the base can read a phrase with vectors in it: its text encoder says what "hat on a <S>"
    means. Else it is `joint`, in the space of the words: T("hat on a dog") + T_per - T("dog").

    T_per is the learned text embedding, without the visual one: a hat does not look like the dog it is on.
    """
    personal = [F.normalize(concept.head.text, dim=0) for concept in composition.concepts]
    if read_phrase is not None:
        return read_phrase(composition.texts, personal)
    kinds = encode([concept.class_name for concept in composition.concepts])
    moved = encode([composition.plain])[0]
    for mine, anybodys in zip(personal, kinds, strict=True):
        moved = moved + mine.to(moved.device) - anybodys  # a concept read from disk lies on the CPU
    return F.normalize(moved, dim=0)


def _article(concept: Concept) -> str:
    """What goes before the class name: "a" for "my dog" or "Rex", nothing where the name is the class's own."""
    if concept.name.casefold() == concept.class_name.casefold():
        return ""
    return "an " if concept.class_name[0].casefold() in "aeiou" else "a "
