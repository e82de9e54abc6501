"""The five lines a user writes. Puts a base, the user's files and the personal method together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.bases import load_base
from ovss_personal.errors import ShotsError, VocabularyError
from ovss_personal.io.images import as_image
from ovss_personal.io.shots import load_shots
from ovss_personal.io.vocabulary import check_concepts, check_words
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.store.cache import entry_key
from ovss_personal.structures import Progress, Proposals, RGBImage, Shot

if TYPE_CHECKING:
    from torch import Tensor

    from ovss_personal.bases.base import Base
    from ovss_personal.config import FitConfig
    from ovss_personal.engine.compose import Composition, ReadPhrase, Way
    from ovss_personal.painting.label_map import ScoredProposals
    from ovss_personal.personal.fit import FitShot
    from ovss_personal.personal.head import Contender, PersonalHead
    from ovss_personal.store.cache import AnyCache
    from ovss_personal.store.concept import Concept

__all__ = [
    "demo_album",
    "demo_albums",
    "load_base",
    "load_shots",
    "personalize",
    "propose",
    "segment",
    "segment_many",
    "segment_seen",
]


def propose(base: Base, image: RGBImage, cache: AnyCache | None = None) -> Proposals:
    """What `base` sees in one (H, W, 3) uint8 image; from `cache` if it has looked at it before.

    Mask logits are rounded to float16, which is what a cache on disk keeps, whether there is one or not: nothing
    depends on it. On six photos of the demo albums it changes the embedded base's label, among 171 words, of none of
    1.6 million pixels.
    """
    key = proposal_key(base, image) if cache else ""
    found = cache.get(key) if cache else None
    if found is not None:
        return found.rounded()  # an older version kept them as they were
    seen = base.propose([image])[0].rounded()
    if cache:
        cache.put(key, seen)
    return seen


def proposal_key(base: Base, image: RGBImage) -> str:
    """Where a cache keeps what `base` sees in the image."""
    digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
    return entry_key(digest, base.fingerprint)


def look_at(base: Base, shot: Shot, cache: AnyCache | None = None) -> FitShot:
    """A shot as a fit needs it."""
    from ovss_personal.personal.fit import FitShot

    return FitShot(propose(base, shot.image, cache), shot.mask, shot.ignore)


def personalize(
    base: Base,
    shots: Sequence[Shot],
    *,
    concept: str,
    class_name: str | None = None,
    config: FitConfig | None = None,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
    cache: AnyCache | None = None,
    leave_one_out: bool = True,
    album: str | Path | None = None,
) -> Concept:
    """Learn a concept from K shots. Each photo passes through the base once.

    Args:
        concept: what the user calls it, "my bird".
        class_name: what it is to anybody, "bird"; by default the concept's name.
        config: settings of the fit; by default the base's own.
        progress: called with (done, total, stage).
        on_loss: called with the loss of every step of the fit on all shots.
        leave_one_out: for K ≥ 2, also fit without each shot in turn. That says how well the others find it, and
            moves the threshold of a concept with hidden competitors to where it finds them better.
        album: a folder of photos without masks, some of which show it (personal/album.py says what is made of them).

    Raises:
        ShotsError: there is no shot.
        InputError: the album has no photo that can be used and is no shot, or too many.
        UsageError: the album is large, and scikit-learn is not installed.
        VocabularyError: a name is empty or too long.
        InputError: the loss stopped being finite.
    """
    from ovss_personal.engine.album import MANY
    from ovss_personal.engine.groups import require_sklearn
    from ovss_personal.engine.learning import Lesson, Subject, look_through
    from ovss_personal.io.album import find_album
    from ovss_personal.personal.fit import fit_all
    from ovss_personal.personal.views import filled_up

    if not shots:
        raise ShotsError("there are no shots to learn from.")
    photos = [] if album is None else find_album(album, shots)
    if len(photos) >= MANY:
        require_sklearn("cluster")  # before all the work, not after it
    subject = Subject(base, concept, class_name, progress)
    settings = config or base.fit_defaults
    pictures = filled_up(shots, settings.views)
    seen = []
    for i, shot in enumerate(pictures, 1):
        seen.append(look_at(base, shot, cache))
        if progress:
            progress(i, len(pictures), "look")
    found = look_through(subject, seen, settings, _looks(base, photos, cache, progress)) if photos else None
    lesson = Lesson(subject, shots, seen, settings, album=found, leave_one_out=leave_one_out)
    return lesson.concept(fit_all(lesson.tasks, base.traits, progress, on_loss))


def _looks(
    base: Base, photos: Sequence[Path], cache: AnyCache | None, progress: Progress | None
) -> Iterator[Proposals]:
    """What `base` sees in each photo of an album that can be used."""
    from ovss_personal.io.album import load_album

    for number, image in enumerate(load_album(photos), 1):
        if image is not None:
            yield propose(base, image, cache)
        if progress:
            progress(number, len(photos), "album")


def segment(
    base: Base,
    image: str | Path | Any,
    *,
    words: Sequence[str],
    concepts: Sequence[Concept] = (),
    cache: AnyCache | None = None,
) -> Segmentation:
    """Label every pixel of one image with a word or a concept.

    Args:
        image: a path, a Pillow picture, or a (H, W), (H, W, 3) or (H, W, 4) uint8 array.
        words: the open vocabulary; the base may add a word of its own (`other`).

    Raises:
        ImageError: the image cannot be used.
        VocabularyError: no word at all, an empty one, or two things of one name.
        ConceptError: a concept was learned on another base.
    """
    return next(iter(segment_many(base, [image], words=words, concepts=concepts, cache=cache)))


def segment_many(
    base: Base,
    images: Sequence[str | Path | Any],
    *,
    words: Sequence[str],
    concepts: Sequence[Concept] = (),
    cache: AnyCache | None = None,
) -> Iterator[Segmentation]:
    """`segment` for image after image; what does not depend on the image is computed once."""
    from ovss_personal.painting.label_map import label_map
    from ovss_personal.personal.head import score

    words, compositions = _checked(base, words, concepts)
    text, personal = _text(base, words, compositions), contenders(base, words, concepts)
    for source in images:
        image = as_image(source)
        proposals = propose(base, image, cache)
        scored = score(proposals, text, personal, base.word_scores, base.traits)
        yield label_map(scored, proposals.canvas, image, (*words, *base.extra_words), [c.name for c in concepts])


def segment_seen(
    base: Base, proposals: Proposals, image: RGBImage, *, words: Sequence[str], concepts: Sequence[Concept] = ()
) -> Segmentation:
    """`segment` for an image that `base` has looked at, or a smaller copy of it.

    Args:
        proposals: what was seen.
        image: (H, W, 3) uint8; the labels have its size.
    """
    from ovss_personal.painting.label_map import label_map

    words, _ = _checked(base, words, concepts)
    scored = scored_proposals(base, proposals, words, concepts)
    canvas = replace(proposals.canvas, original=image.shape[:2])
    return label_map(scored, canvas, image, (*words, *base.extra_words), [c.name for c in concepts])


def compositions_in(words: Sequence[str], concepts: Sequence[Concept]) -> dict[str, Composition]:
    """Those of the words that contain the name of a concept, taken apart there."""
    from ovss_personal.engine.compose import take_apart

    found = {word: take_apart(word, concepts) for word in words}
    return {word: composition for word, composition in found.items() if composition is not None}


def composed_by(base: Base) -> Way:
    """How this base finds the vector of a word that contains a concept (personal/compose.py)."""
    return "token" if _phrase_reader(base) else "joint"


def demo_albums() -> tuple[str, ...]:
    """The albums that come with the program."""
    return tuple(sorted(p.name for p in _demo_folder().iterdir() if (p / "shots").is_dir()))


def demo_album(name: str) -> Path:
    """The folder of shots of a demo album (`images/` and `masks/` in it)."""
    return _demo_folder() / name / "shots"


def _demo_folder() -> Path:
    from importlib.resources import files

    return Path(str(files("ovss_personal.demo_data")))


def scored_proposals(
    base: Base, proposals: Proposals, words: Sequence[str], concepts: Sequence[Concept]
) -> ScoredProposals:
    """Every proposal of one image against every word and concept; `segment` paints this."""
    from ovss_personal.personal.head import score

    text = _text(base, words, compositions_in(words, concepts))
    return score(proposals, text, contenders(base, words, concepts), base.word_scores, base.traits)


def _checked(
    base: Base, words: Sequence[str], concepts: Sequence[Concept]
) -> tuple[tuple[str, ...], dict[str, Composition]]:
    """The words, once they and the concepts are found to go together; and those that contain a concept."""
    vocabulary = check_words(words)
    own = [word for word in vocabulary if word in base.extra_words]
    if own:
        raise VocabularyError(f"the word '{own[0]}' is one that the base adds by itself.", hint="leave it out.")
    if not vocabulary and not base.extra_words:
        raise VocabularyError("there are no words, and a pixel that is no concept needs one.")
    check_concepts([concept.name for concept in concepts], (*vocabulary, *base.extra_words))
    for concept in concepts:
        concept.check_base(base.name, base.fingerprint)
    return vocabulary, compositions_in(vocabulary, concepts)


def _text(base: Base, words: Sequence[str], compositions: Mapping[str, Composition]) -> Tensor:
    """(V, D) of the words, those that contain a concept composed."""
    import torch

    from ovss_personal.engine.compose import compose

    if not compositions:
        return base.encode(words)
    reader = _phrase_reader(base)
    rows = {word: compose(found, base.encode, reader) for word, found in compositions.items()}
    return torch.stack([rows[word] if word in rows else base.encode([word])[0] for word in words])


def _phrase_reader(base: Base) -> ReadPhrase | None:
    from ovss_personal.bases.base import PhraseReader

    return base.read_phrase if isinstance(base, PhraseReader) else None


def contenders(base: Base, words: Sequence[str], concepts: Sequence[Concept]) -> list[Contender]:
    """The concepts with what they compete with: the words of their fit, the user's words, the hidden ones.

    A word that contains a concept is close to it by its making, and no competitor.
    """
    compositions = compositions_in(words, concepts)
    plain = [word for word in words if word not in compositions]
    return [
        _contender(base, c.head, c.config, c.class_name, tuple(dict.fromkeys((*c.words, *plain)))) for c in concepts
    ]


def _contender(base: Base, head: PersonalHead, config: FitConfig, class_name: str, words: Sequence[str]) -> Contender:
    import torch

    from ovss_personal.personal.head import Contender

    hidden = base.competitors(class_name, config.competitors)
    return Contender(head, config, torch.cat((base.encode(words), hidden)))
