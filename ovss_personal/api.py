"""The five lines a user writes. Puts a base, the user's files and the personal method together."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.bases import load_base
from ovss_personal.cache import entry_key
from ovss_personal.errors import OvssWarning, ShotsError, VocabularyError
from ovss_personal.io.images import as_image
from ovss_personal.io.shots import load_shots
from ovss_personal.structures import Proposals, RGBImage, Segmentation, Shot
from ovss_personal.vocabulary import check_concepts, check_word, check_words, named_words

if TYPE_CHECKING:
    from torch import Tensor

    from ovss_personal.bases.base import Base
    from ovss_personal.cache import AnyCache
    from ovss_personal.config import FitConfig
    from ovss_personal.label_map import ScoredProposals
    from ovss_personal.personal.compose import Composition, ReadPhrase, Way
    from ovss_personal.personal.concept import Concept
    from ovss_personal.personal.fit import FitShot, Progress
    from ovss_personal.personal.head import Contender, PersonalHead

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

# The open words of every fit: what a concept learns not to be does not depend on what it is later used with.
FIT_WORDS = "coco-stuff"
WORDS_AT_ONCE = 16  # between two steps of the progress bar


def propose(base: Base, image: RGBImage, cache: AnyCache | None = None) -> Proposals:
    """What `base` sees in one (H, W, 3) uint8 image; from `cache` if it has looked at it before."""
    if cache is None:
        return base.propose([image])[0]
    key = proposal_key(base, image)
    found = cache.get(key)
    if found is None:
        found = base.propose([image])[0]
        cache.put(key, found)
    return found


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
    look: Callable[[Shot], FitShot] | None = None,
    report: bool = True,
) -> Concept:
    """Learn a concept from K shots. Each passes through the base once.

    Args:
        concept: what the user calls it, "my bird".
        class_name: what it is to anybody, "bird"; by default the concept's name.
        config: settings of the fit; by default the base's own.
        progress: called with (done, total, stage).
        on_loss: called with the loss of every step of the fit on all shots.
        leave_one_out: for K ≥ 2, also fit without each shot in turn. That says how well the others find it, and
            moves the threshold of a concept with hidden competitors to where it finds them better.
        look: gives what the base sees in a shot, in place of the base and `cache`; for many fits on the same shots.
        report: say how well each shot is found again, and warn of one that is not; else only what is learned counts.

    Raises:
        ShotsError: there is no shot.
        VocabularyError: a name is empty or too long.
        InputError: the loss stopped being finite.
    """
    from ovss_personal.personal.concept import Concept, FitReport, ShotReport
    from ovss_personal.personal.fit import Words, fit
    from ovss_personal.personal.head import score
    from ovss_personal.personal.report import left_out, outliers, shot_iou, tuned_threshold
    from ovss_personal.personal.views import filled_up

    name = check_word(concept, "the concept's name")
    kind = check_word(class_name or concept, "the class name")
    if not shots:
        raise ShotsError("there are no shots to learn from.")
    settings = config or base.fit_defaults
    pictures = filled_up(shots, settings.views)
    seen = []
    for i, shot in enumerate(pictures, 1):
        seen.append(look(shot) if look else look_at(base, shot, cache))
        if progress:
            progress(i, len(pictures), "look")
    open_words = tuple(word for word in named_words(FIT_WORDS) if word != name)
    for i in range(0, len(open_words), WORDS_AT_ONCE):  # a large text encoder takes a while the first time
        base.encode(open_words[i : i + WORDS_AT_ONCE])
        if progress:
            progress(min(i + WORDS_AT_ONCE, len(open_words)), len(open_words), "read")
    words = Words(
        concept=base.encode([kind])[0],
        open=base.encode(open_words),
        hidden=base.competitors(kind, settings.competitors),
    )
    head, losses = fit(seen, words, base.traits, settings, progress, on_loss)

    rivals = _contender(base, head, settings, kind, open_words)

    def scorer(shot: FitShot, head: PersonalHead) -> ScoredProposals:
        contender = replace(rivals, head=head)
        return score(shot.proposals, words.open, [contender], base.word_scores, base.traits)

    # Beside hidden competitors the negative mask has no part in a score, nor do its weights in what else is learned.
    cheaper = replace(settings, lambda_m=0.0) if settings.hidden else settings

    def fit_on(kept: Sequence[int]) -> PersonalHead:
        return fit([seen[i] for i in kept], words, base.traits, cheaper)[0]

    own = seen[: len(shots)]
    without: list[float | None] = [None] * len(own)
    odd = [False] * len(own)
    tuned = settings.hidden and settings.threshold is None
    if leave_one_out and len(own) > 1 and (report or tuned):
        alone = left_out(own, fit_on, scorer)
        if tuned:
            settings = replace(settings, threshold=tuned_threshold(own, alone, base.traits.threshold))
            alone = [replace(scored, thresholds=(settings.threshold,)) for scored in alone]
        if report:
            found = [shot_iou(shot, scored) for shot, scored in zip(own, alone, strict=True)]
            without, odd = [*found], outliers(found)
    ious = [shot_iou(shot, scorer(shot, head)) for shot in own] if report else []
    for shot, is_odd in zip(shots, odd, strict=True):
        if is_odd:
            warnings.warn(
                f"the shot {shot.name} does not fit the others; look at its mask with 'inspect', or leave it out.",
                OvssWarning,
                stacklevel=2,
            )
    rows = tuple(
        ShotReport(shot.name, shot.sha256, iou, alone, is_odd)
        for shot, iou, alone, is_odd in zip(shots, ious, without, odd, strict=False)
    )
    return Concept(
        name=name,
        class_name=kind,
        base_name=base.name,
        base_fingerprint=base.fingerprint,
        words=open_words,
        head=head,
        config=settings,
        report=FitReport(rows, losses),
    )


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
    from ovss_personal.label_map import label_map
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
    from ovss_personal.label_map import label_map

    words, _ = _checked(base, words, concepts)
    scored = scored_proposals(base, proposals, words, concepts)
    canvas = replace(proposals.canvas, original=image.shape[:2])
    return label_map(scored, canvas, image, (*words, *base.extra_words), [c.name for c in concepts])


def compositions_in(words: Sequence[str], concepts: Sequence[Concept]) -> dict[str, Composition]:
    """Those of the words that contain the name of a concept, taken apart there."""
    from ovss_personal.personal.compose import take_apart

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

    from ovss_personal.personal.compose import compose

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
