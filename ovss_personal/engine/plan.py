"""The fits that learning a concept takes, and what is made of them; apart, so that many concepts' can step together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ovss_personal.config import Competitors, FitConfig
from ovss_personal.engine.album import Album
from ovss_personal.engine.see import SeenShot
from ovss_personal.errors import OvssWarning
from ovss_personal.io.vocabulary import check_word, named_words
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.fit import FitTask, Fitted, FitWords
from ovss_personal.personal.head import ReadyConcept, score
from ovss_personal.personal.report import outliers, shot_iou, strangers, threshold_by_views, tuned_threshold
from ovss_personal.personal.things import is_one_thing
from ovss_personal.personal.visual import shot_embedding
from ovss_personal.store.concept import AlbumReport, Concept, FitReport, ShotReport
from ovss_personal.structures import Progress, Proposals

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

# The open words of every fit: what a concept learns not to be does not depend on what it is later used with.
FIT_WORDS = "coco-stuff"
WORDS_AT_ONCE = 16  # between two steps of the progress bar


class ConceptWords:
    """A concept's names and the words of its fits, as vectors of one base. Fits that share it can step together.

    Args:
        name: what the user calls the thing, "my bird".
        class_name: class of the object, "bird"; by default the name.
        progress: called with (done, total, "words").
        competitors: those that a fit will ask for; if the base has none, that is known before all words are encoded.

    Raises:
        VocabularyError: a name is empty or too long.
        UsageError: the base has no such competitors.
    """

    def __init__(
        self,
        base: Base,
        name: str,
        class_name: str | None = None,
        progress: Progress | None = None,
        competitors: Competitors = "none",
    ):
        self.base = base
        self.name = check_word(name, "the concept's name")
        self.class_name = check_word(class_name or name, "the class name")
        base.competitors(self.class_name, competitors)
        self.open_words = tuple(word for word in named_words(FIT_WORDS) if word != self.name)
        for i in range(0, len(self.open_words), WORDS_AT_ONCE):  # a large text encoder takes a while the first time
            base.encode(self.open_words[i : i + WORDS_AT_ONCE])
            if progress:
                progress(min(i + WORDS_AT_ONCE, len(self.open_words)), len(self.open_words), "words")
        self._concept, self._open = base.encode([self.class_name])[0], base.encode(self.open_words)
        self._words: dict[Competitors, FitWords] = {}

    def of_fit(self, competitors: Competitors) -> FitWords:
        """The words of a fit against these competitors; the same object every time."""
        if competitors not in self._words:
            rows = self.base.competitors(self.class_name, competitors)
            self._words[competitors] = FitWords(self._concept, self._open, rows)
        return self._words[competitors]

    def ready(self, fitted: Fitted, config: FitConfig) -> ReadyConcept:
        """What was fitted, as it is scored against the words of its fit."""
        words = self.of_fit(config.competitors)
        return ReadyConcept(fitted[0], config, torch.cat((words.open, words.competitors)))

    def scored(self, proposals: Proposals, ready: ReadyConcept) -> ScoredProposals:
        """What was seen in a photo, against the open words of the fits and one concept."""
        return score(proposals, self._open, [ready], self.base.word_scores, self.base.traits)


class FitPlan:
    """The fits of one concept with one configuration.

    `tasks` are the fits: on all photos, then on all shots but each, or on all views of a single shot but each;
    `concept` makes of their outcome what is learned.

    Args:
        shots: the K.
        views: more views of them (personal/views.py), for the fit on all photos.
        album: what unlabelled photos add to that fit.
        leave_one_out, negative_mask: as in `learn.personalize`.
        report: whether it is wanted how well each shot is found again.
    """

    def __init__(
        self,
        words: ConceptWords,
        shots: Sequence[SeenShot],
        config: FitConfig,
        *,
        views: Sequence[SeenShot] = (),
        album: Album | None = None,
        leave_one_out: bool = True,
        negative_mask: bool = False,
        report: bool = True,
    ):
        self._own = [shot.example for shot in shots]
        if config.unique is None and config.has_competitors:
            config = replace(config, unique=all(is_one_thing(one.on_grid[0], one.proposals.masks) for one in self._own))
        self._words, self._shots, self._config, self._report = words, shots, config, report
        self._album = album
        self._tunes = config.has_competitors and config.threshold is None
        of_fit = words.of_fit(config.competitors)
        examples = (*self._own, *(view.example for view in views))
        whole = of_fit
        if album:
            examples = (*examples, *album.examples)
            whole = replace(of_fit, competitors=torch.cat((of_fit.competitors, album.competitors)))
        self.tasks = [FitTask(examples, whole, config, shown=negative_mask)]
        # One shot has no others; its views stand for them where a threshold is to be found.
        self._again = list(shots) if len(shots) > 1 else [*shots, *views] if self._tunes else []
        if leave_one_out and len(self._again) > 1 and (report or self._tunes):
            for left in range(len(self._again)):
                kept = tuple(one.example for i, one in enumerate(self._again) if i != left)
                self.tasks.append(FitTask(kept, of_fit, config))

    def concept(self, fitted: Sequence[Fitted]) -> Concept:
        """What is learned. Warns of a shot that the others do not find, and of shots of different things.

        Args:
            fitted: of each of `tasks`.
        """
        words, settings, base = self._words, self._config, self._words.base
        whole, *left_out = fitted
        count = len(self._own)
        default, of_fewer = (base.traits.threshold_of(n) for n in (count, max(1, count - 1)))
        if self._tunes:
            settings = replace(settings, threshold=default)
        without: list[float | None] = [None] * count
        odd = [False] * count
        found: list[float] = []
        if left_out:
            others = [words.ready(other, settings) for other in left_out]
            alone = [words.scored(one.proposals, other) for one, other in zip(self._again, others, strict=True)]
            if self._tunes:
                again = [one.example for one in self._again]
                if count == 1:
                    threshold = threshold_by_views(again, alone, default)
                else:
                    threshold = tuned_threshold(again, alone, default, of_fewer)
                settings = replace(settings, threshold=threshold)
                alone = [replace(scored, thresholds=(threshold * of_fewer / default,)) for scored in alone]
            if self._report and count > 1:
                found = [shot_iou(example, scored) for example, scored in zip(self._own, alone, strict=True)]
                without, odd = [*found], outliers(found)
        for shot, is_odd in zip(self._shots, odd, strict=True):
            if is_odd:
                warnings.warn(
                    f"the shot {shot.shot.name} does not fit the others; look at its mask, or leave it out.",
                    OvssWarning,
                    stacklevel=3,
                )
        ready = words.ready(whole, settings)
        ious = [shot_iou(s.example, words.scored(s.proposals, ready)) for s in self._shots] if self._report else []
        if found:
            self._tell_strangers(ious, found)
        rows = tuple(
            ShotReport(shot.shot.name, shot.shot.sha256, iou, alone, is_odd)
            for shot, iou, alone, is_odd in zip(self._shots, ious, without, odd, strict=False)
        )
        album = AlbumReport(self._album.photos, len(self._album.examples)) if self._album else None
        return Concept(
            name=words.name,
            class_name=words.class_name,
            base_name=base.name,
            base_fingerprint=base.fingerprint,
            words=words.open_words,
            head=whole[0],
            config=settings,
            report=FitReport(rows, whole[1], album),
        )

    def _tell_strangers(self, ious: Sequence[float], alone: Sequence[float]) -> None:
        """Warns where the shots do not show one thing, by their looks or since none finds another.

        Args:
            ious: of each shot the IoU of what all teach.
            alone: of each shot the leave-one-out IoU.
        """
        contrast = self._words.base.traits.contrast
        groups = strangers([shot_embedding(s.proposals, s.shot.mask, contrast) for s in self._shots], ious, alone)
        if not groups:
            return
        if len(groups[0]) == 1:
            told = "no shot is found by what the others teach: do they show one thing, and do the masks mark it?"
        else:
            listed = "; ".join(", ".join(self._shots[place].shot.name for place in group) for group in groups)
            told = f"the shots look like {len(groups)} different things ({listed}); learn each by itself."
        warnings.warn(told, OvssWarning, stacklevel=4)
