"""How a concept is learned, in parts, so that many concepts' fits can step together: read, look, fit, conclude."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ovss_personal.config import Competitors, FitConfig
from ovss_personal.engine.album import Album, gather
from ovss_personal.errors import OvssWarning
from ovss_personal.io.vocabulary import check_word, named_words
from ovss_personal.personal.fit import FitShot, FitTask, Fitted, Words, fit_all
from ovss_personal.personal.head import Contender, score
from ovss_personal.personal.report import outliers, shot_iou, tuned_threshold
from ovss_personal.store.concept import AlbumReport, Concept, FitReport, ShotReport
from ovss_personal.structures import Progress, Proposals, Shot

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.painting.label_map import ScoredProposals

# The open words of every fit: what a concept learns not to be does not depend on what it is later used with.
FIT_WORDS = "coco-stuff"
WORDS_AT_ONCE = 16  # between two steps of the progress bar


class Subject:
    """A concept's names, and the words of its fits. Lessons that share it can step together.

    Args:
        name: what the user calls it, "my bird".
        class_name: what it is to anybody, "bird"; by default the name.
        progress: called with (done, total, "read").

    Raises:
        VocabularyError: a name is empty or too long.
    """

    def __init__(self, base: Base, name: str, class_name: str | None = None, progress: Progress | None = None):
        self.base = base
        self.name = check_word(name, "the concept's name")
        self.class_name = check_word(class_name or name, "the class name")
        self.open_words = tuple(word for word in named_words(FIT_WORDS) if word != self.name)
        for i in range(0, len(self.open_words), WORDS_AT_ONCE):  # a large text encoder takes a while the first time
            base.encode(self.open_words[i : i + WORDS_AT_ONCE])
            if progress:
                progress(min(i + WORDS_AT_ONCE, len(self.open_words)), len(self.open_words), "read")
        self._concept, self._open = base.encode([self.class_name])[0], base.encode(self.open_words)
        self._words: dict[Competitors, Words] = {}

    def words(self, competitors: Competitors) -> Words:
        """The words of a fit against these competitors; the same tensors every time."""
        if competitors not in self._words:
            hidden = self.base.competitors(self.class_name, competitors)
            self._words[competitors] = Words(self._concept, self._open, hidden)
        return self._words[competitors]


class Lesson:
    """One concept to be learned from K shots with one configuration.

    `tasks` are the fits that it takes: on all pictures, then on all shots but each; `concept` makes of their outcome
    what is learned.

    Args:
        shots: the K.
        seen: what the base saw in them and in their views (personal/views.py).
        album: what unlabelled photos add to the fit on all pictures.
        leave_one_out, report: as in `api.personalize`.
    """

    def __init__(
        self,
        subject: Subject,
        shots: Sequence[Shot],
        seen: Sequence[FitShot],
        config: FitConfig,
        *,
        album: Album | None = None,
        leave_one_out: bool = True,
        report: bool = True,
    ):
        self._subject, self._shots, self._config, self._report = subject, shots, config, report
        self._album = album
        self._words = subject.words(config.competitors)
        self._own = seen[: len(shots)]
        self._tunes = config.hidden and config.threshold is None
        self.tasks = [FitTask(tuple(seen), self._words, config)]
        if album:
            words = replace(self._words, hidden=torch.cat((self._words.hidden, album.rivals)))
            self.tasks = [FitTask((*seen, *album.shots), words, config)]
        if leave_one_out and len(shots) > 1 and (report or self._tunes):
            for left in range(len(shots)):
                kept = tuple(shot for i, shot in enumerate(self._own) if i != left)
                self.tasks.append(FitTask(kept, self._words, _cheaper(config)))

    def concept(self, fitted: Sequence[Fitted]) -> Concept:
        """What is learned. Warns of a shot that the others do not find.

        Args:
            fitted: of each of `tasks`.
        """
        subject, settings, base = self._subject, self._config, self._subject.base
        (head, losses), *left_out = fitted
        contender = Contender(head, settings, torch.cat((self._words.open, self._words.hidden)))
        without: list[float | None] = [None] * len(self._own)
        odd = [False] * len(self._own)
        if left_out:
            others = [replace(contender, head=other) for other, _ in left_out]
            alone = [self._score(shot, other) for shot, other in zip(self._own, others, strict=True)]
            if self._tunes:
                settings = replace(settings, threshold=tuned_threshold(self._own, alone, base.traits.threshold))
                contender = replace(contender, config=settings)
                alone = [replace(scored, thresholds=(settings.threshold,)) for scored in alone]
            if self._report:
                found = [shot_iou(shot, scored) for shot, scored in zip(self._own, alone, strict=True)]
                without, odd = [*found], outliers(found)
        for shot, is_odd in zip(self._shots, odd, strict=True):
            if is_odd:
                warnings.warn(
                    f"the shot {shot.name} does not fit the others; look at its mask, or leave it out.",
                    OvssWarning,
                    stacklevel=3,
                )
        ious = [shot_iou(shot, self._score(shot, contender)) for shot in self._own] if self._report else []
        rows = tuple(
            ShotReport(shot.name, shot.sha256, iou, alone, is_odd)
            for shot, iou, alone, is_odd in zip(self._shots, ious, without, odd, strict=False)
        )
        return Concept(
            name=subject.name,
            class_name=subject.class_name,
            base_name=base.name,
            base_fingerprint=base.fingerprint,
            words=subject.open_words,
            head=head,
            config=settings,
            report=FitReport(
                rows, losses, AlbumReport(self._album.photos, len(self._album.shots)) if self._album else None
            ),
        )

    def _score(self, shot: FitShot, contender: Contender) -> ScoredProposals:
        base = self._subject.base
        return score(shot.proposals, self._words.open, [contender], base.word_scores, base.traits)


def look_through(subject: Subject, seen: Sequence[FitShot], config: FitConfig, photos: Iterable[Proposals]) -> Album:
    """What an album adds to a fit on these pictures, by a first fit without it.

    Args:
        seen: what the base saw in the shots and in their views.
        photos: what it sees in the album; taken one at a time.

    Raises:
        InputError: the first fit's loss is not finite.
        UsageError: grouping a large album needs scikit-learn, which is not installed.
    """
    base, words = subject.base, subject.words(config.competitors)
    ((head, _),) = fit_all([FitTask(tuple(seen), words, _cheaper(config))], base.traits)
    contender = Contender(head, config, torch.cat((words.open, words.hidden)))
    scored = ((photo, score(photo, words.open, [contender], base.word_scores, base.traits)) for photo in photos)
    return gather([shot.proposals for shot in seen], scored)


def _cheaper(config: FitConfig) -> FitConfig:
    """The fit without the negative mask, where that has no part in a score: beside hidden competitors."""
    return replace(config, lambda_m=0.0) if config.hidden else config
