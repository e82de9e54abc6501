"""Find: words and concepts in what a base saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ovss_personal.bases.base import PhraseReader
from ovss_personal.engine.compose import Composition, Way, compose, take_apart
from ovss_personal.engine.see import Seen, see
from ovss_personal.errors import UsageError, VocabularyError
from ovss_personal.io.vocabulary import check_concepts, check_words
from ovss_personal.painting.painter import label_map
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.personal.head import ReadyConcept, score

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.concept import Concept
    from ovss_personal.structures import Proposals


class Finder:
    """Words and concepts made ready on one base, to be found in any number of images.

    Args:
        words: the open vocabulary; the base may add a word of its own (`other`).

    Attributes:
        words: as given, without duplicates.
        compositions: those of the words that contain a concept, taken apart there.

    Raises:
        VocabularyError: no word at all, an empty one, or two things of one name.
        ConceptError: a concept was learned on another base.
    """

    def __init__(self, base: Base, words: Sequence[str], concepts: Sequence[Concept] = ()):
        self._base, self._concepts = base, tuple(concepts)
        self.words = check_words(words)
        own = [word for word in self.words if word in base.extra_words]
        if own:
            raise VocabularyError(f"the word '{own[0]}' is one that the base adds by itself.", hint="leave it out.")
        if not self.words and not base.extra_words:
            raise VocabularyError("there are no words, and a pixel that is no concept needs one.")
        check_concepts([concept.name for concept in concepts], (*self.words, *base.extra_words))
        for concept in concepts:
            concept.check_base(base.name, base.fingerprint)
        self.compositions = compositions_in(self.words, concepts)
        self._text = self._vectors()
        # A word that contains a concept is close to it by its making, and no competitor.
        plain = [word for word in self.words if word not in self.compositions]
        self._ready = [ready_concept(base, concept, plain) for concept in concepts]

    def find(self, seen: Seen) -> Segmentation:
        """A label for every pixel of `seen.image`.

        Raises:
            UsageError: it was seen by another base.
        """
        if seen.fingerprint != self._base.fingerprint:
            raise UsageError(f"this image was seen by another base than '{self._base.name}'.", hint="See it again.")
        canvas = replace(seen.proposals.canvas, original=seen.image.shape[:2])
        names = [concept.name for concept in self._concepts]
        return label_map(self.score(seen.proposals), canvas, seen.image, (*self.words, *self._base.extra_words), names)

    def score(self, proposals: Proposals) -> ScoredProposals:
        """Every proposal of one image against every word and concept; `find` paints this."""
        return score(proposals, self._text, self._ready, self._base.word_scores, self._base.traits)

    def _vectors(self) -> Tensor:
        """(V, D) of the words, those that contain a concept composed."""
        encode = self._base.encode
        if not self.compositions:
            return encode(self.words)
        reader = self._base.read_phrase if isinstance(self._base, PhraseReader) else None
        rows = {word: compose(found, encode, reader) for word, found in self.compositions.items()}
        return torch.stack([rows[word] if word in rows else encode([word])[0] for word in self.words])


def segment(
    base: Base,
    image: str | Path | Any,
    *,
    words: Sequence[str],
    concepts: Sequence[Concept] = (),
    cache: ProposalCache | None = None,
) -> Segmentation:
    """Label every pixel of one image with a word or a concept.

    Args:
        image: a path, a Pillow picture, a (H, W), (H, W, 3) or (H, W, 4) uint8 array, or what `see` made of one.
        words: the open vocabulary; the base may add a word of its own (`other`).

    Raises:
        ImageError: the image cannot be used.
        VocabularyError: no word at all, an empty one, or two things of one name.
        ConceptError: a concept was learned on another base.
    """
    return next(segment_many(base, [image], words=words, concepts=concepts, cache=cache))


def segment_many(
    base: Base,
    images: Iterable[str | Path | Any],
    *,
    words: Sequence[str],
    concepts: Sequence[Concept] = (),
    cache: ProposalCache | None = None,
) -> Iterator[Segmentation]:
    """`segment` for image after image; what does not depend on the image is computed once."""
    finder = Finder(base, words, concepts)
    return (finder.find(image if isinstance(image, Seen) else see(base, image, cache)) for image in images)


def compositions_in(words: Sequence[str], concepts: Sequence[Concept]) -> dict[str, Composition]:
    """Those of the words that contain the name of a concept, taken apart there."""
    found = {word: take_apart(word, concepts) for word in words}
    return {word: composition for word, composition in found.items() if composition is not None}


def way_of(base: Base) -> Way:
    """How a base finds the vector of a word that contains a concept (engine/compose.py)."""
    return "token" if isinstance(base, PhraseReader) else "joint"


def ready_concept(base: Base, concept: Concept, words: Sequence[str]) -> ReadyConcept:
    """A concept with what it competes with: the words of its fit, the words beside it, and its competitors."""
    rows = base.encode(tuple(dict.fromkeys((*concept.words, *words))))
    competitors = base.competitors(concept.class_name, concept.config.competitors)
    return ReadyConcept(concept.head.to(rows.device), concept.config, torch.cat((rows, competitors)))
