"""Learn: from shots to a concept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.engine.album import MANY, Album, gather
from ovss_personal.engine.groups import require_sklearn
from ovss_personal.engine.plan import ConceptWords, FitPlan
from ovss_personal.engine.see import SeenShot, propose, see_shots
from ovss_personal.errors import ShotsError
from ovss_personal.io.album import find_album, load_album
from ovss_personal.personal.fit import FitTask, fit_all
from ovss_personal.personal.views import more_views
from ovss_personal.structures import Progress, Proposals, Shot

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.config import FitConfig
    from ovss_personal.store.cache import ProposalCache
    from ovss_personal.store.concept import Concept


def personalize(
    base: Base,
    shots: Sequence[Shot | SeenShot],
    *,
    concept: str,
    class_name: str | None = None,
    config: FitConfig | None = None,
    progress: Progress | None = None,
    on_loss: Callable[[float], None] | None = None,
    cache: ProposalCache | None = None,
    leave_one_out: bool = True,
    negative_mask: bool = False,
    album: str | Path | None = None,
) -> Concept:
    """Learn a concept from K shots. Each photo passes through the base once.

    What is learned does not depend on the order of the shots, and so not on what their files are called.

    Args:
        shots: photos with a mask; of those that the base has seen already (`see_shots`), only views are looked at.
        concept: what the user calls the thing, "my bird".
        class_name: class of the object, "bird"; by default the concept's name.
        config: settings of the fit; by default the base's own.
        progress: called with (done, total, stage).
        on_loss: called with the loss of every step of the fit on all shots, several at a time.
        cache: where what the base sees is kept.
        leave_one_out: also fit without each shot in turn. That says how well the others find it, and moves the
            threshold of a concept with competitors to where it finds them better. Of one shot, its views take the part.
        negative_mask: learn the negative mask even where no score reads it, to look at it.
        album: a folder of photos without masks, some of which show it (engine/album.py says what is made of them).

    Raises:
        ShotsError: there is no shot.
        InputError: the album has no photo that can be used and is no shot, or too many.
        UsageError: the base has no such competitors; the album is large, and scikit-learn is not installed.
        VocabularyError: a name is empty or too long.
        InputError: the loss stopped being finite.
    """
    if not shots:
        raise ShotsError("there are no shots to learn from.")
    given = list(range(len(shots)))
    given.sort(key=lambda number: _content(shots[number]))
    shots = [shots[number] for number in given]
    plain = [shot if isinstance(shot, Shot) else shot.shot for shot in shots]
    photos = [] if album is None else find_album(album, plain)
    if len(photos) >= MANY:
        require_sklearn("cluster")  # before all the work, not after it
    settings = config or base.fit_defaults
    words = ConceptWords(base, concept, class_name, progress, settings.competitors)
    every = [*shots, *more_views(plain, settings.views - len(plain))]
    seen = see_shots(base, every, cache, progress)
    found = search_album(words, seen, settings, _album(base, photos, cache, progress)) if photos else None
    plan = FitPlan(
        words,
        seen[: len(shots)],
        settings,
        views=seen[len(shots) :],
        album=found,
        leave_one_out=leave_one_out,
        negative_mask=negative_mask,
    )
    learned = plan.concept(fit_all(plan.tasks, base.traits, progress, on_loss))
    told = dict(zip(given, learned.report.shots, strict=True))
    return replace(learned, report=replace(learned.report, shots=tuple(told[number] for number in range(len(told)))))


def _content(shot: Shot | SeenShot) -> tuple[str, bytes]:
    """What tells shots apart, whatever they are called and in which order they come."""
    plain = shot if isinstance(shot, Shot) else shot.shot
    return plain.sha256, hashlib.sha256(plain.mask.tobytes()).digest()


def search_album(
    words: ConceptWords, shots: Sequence[SeenShot], config: FitConfig, photos: Iterable[Proposals]
) -> Album:
    """What an album adds to a fit on these shots and views, by a first fit without it.

    Args:
        photos: what the base sees in the album; taken one at a time.

    Raises:
        InputError: the first fit's loss is not finite.
        UsageError: grouping a large album needs scikit-learn, which is not installed.
    """
    examples = tuple(shot.example for shot in shots)
    (fitted,) = fit_all([FitTask(examples, words.of_fit(config.competitors), config)], words.base.traits)
    ready = words.ready(fitted, config)
    scored = ((photo, words.scored(photo, ready)) for photo in photos)
    return gather([shot.proposals for shot in shots], scored)


def _album(
    base: Base, photos: Sequence[Path], cache: ProposalCache | None, progress: Progress | None
) -> Iterator[Proposals]:
    """What `base` sees in each photo of an album that can be used."""
    for number, image in enumerate(load_album(photos), 1):
        if image is not None:
            yield propose(base, image, cache)
        if progress:
            progress(number, len(photos), "album")
