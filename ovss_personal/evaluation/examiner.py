"""One concept of a benchmark under every method, number of shots and seed; each image is painted for all at once."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ovss_personal.bases import load_base
from ovss_personal.bases.base import Base
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, read_manifest
from ovss_personal.config import FitConfig
from ovss_personal.engine.find import ready_concept
from ovss_personal.engine.learn import search_album
from ovss_personal.engine.plan import ConceptWords, FitPlan
from ovss_personal.engine.see import SeenShot, propose
from ovss_personal.errors import UsageError
from ovss_personal.evaluation import knn
from ovss_personal.evaluation.methods import Method
from ovss_personal.evaluation.metrics import LabelCounts
from ovss_personal.evaluation.proposals import best_ious
from ovss_personal.evaluation.results import Key, Result
from ovss_personal.evaluation.seggpt import SegGpt
from ovss_personal.painting.painter import paint
from ovss_personal.painting.scores import ScoredProposals
from ovss_personal.personal.fit import fit_all
from ovss_personal.personal.head import ReadyConcept, score
from ovss_personal.personal.views import more_views
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.concept import Concept
from ovss_personal.structures import BoolMask, Proposals, RGBImage, Shot


@dataclass(frozen=True)
class Job:
    """What is to be measured, so that another process can be told.

    Attributes:
        base: arguments of `load_base`.
        manifest: path of the benchmark.
        shots, seeds: of every method that has a use for them.
        cache: its folder and the most bytes that it may take.
    """

    base: dict[str, Any]
    manifest: Path
    methods: tuple[Method, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    cache: tuple[Path, int]

    def examiner(self) -> Examiner:
        """Loads the base and reads the manifest; raises what these raise."""
        base = load_base(**self.base)
        return Examiner(base, read_manifest(self.manifest), self.methods, self.shots, self.seeds, self.opened_cache())

    def opened_cache(self) -> ProposalCache:
        return ProposalCache(*self.cache)


@dataclass(frozen=True)
class _Learned:
    """A method that is ready for test images: what it learned, remembers, or is shown."""

    concept: ReadyConcept | None = None
    memory: knn.Memory | None = None
    prompts: Sequence[Shot] = ()


_ByKey = Mapping[Key, _Learned]


class Examiner:
    """Measures concepts of one benchmark on one base.

    Args:
        shots, seeds: numbers of shots, and seeds of the fits.
        cache: where proposals come from; every image is in it after `see`.

    Raises:
        UsageError: a method learns from an album, and a concept has none.
        WeightsError: SegGPT's weights are not at hand.
    """

    def __init__(
        self,
        base: Base,
        manifest: Manifest,
        methods: Sequence[Method],
        shots: Sequence[int],
        seeds: Sequence[int],
        cache: ProposalCache,
    ):
        self.base = base
        self.manifest = manifest
        self.methods = tuple(methods)
        self.shots = tuple(shots)
        self.seeds = tuple(seeds)
        self.cache = cache
        bare = [concept.name for concept in manifest.concepts if not concept.album]
        if bare and any(method.album for method in methods):
            raise UsageError(
                f"a method is to learn from an album, and the concept '{bare[0]}' has none in the benchmark.",
                hint="Leave the method out, or build one that has: benchmark build stamps --album 10.",
            )
        self._seggpt = SegGpt.load(base.config) if any(m.kind == "seggpt" for m in methods) else None

    def items(self, concept: ConceptSet) -> tuple[Item, ...]:
        """Every image of the concept that passes through the base."""
        album = concept.album if any(method.album for method in self.methods) else ()
        shots = concept.shots if concept.spare_shots_are_tests else concept.shots[: max(self.shots)]
        return (*shots, *album, *concept.positives, *concept.negatives, *concept.pairs, *concept.look_alikes)

    def keys(self, concept: ConceptSet) -> list[Key]:
        """What `examine` gives results of, in its order."""
        return [
            (concept.name, count, method.name, seed) for method in self.methods for count, seed in self._runs(method)
        ]

    def see(self, item: Item) -> Proposals:
        """Pass an image through the base, unless its proposals are in the cache."""
        return propose(self.base, self.manifest.image(item), self.cache)

    def examine(self, number: int) -> list[Result]:
        """Everything about the concept of that number, in the order of `keys`."""
        concept = self.manifest.concepts[number]
        learned = self._learn(concept)
        words = self.manifest.words_beside(concept)
        personal = len(words) + len(self.base.extra_words)
        alone, beside, alike = ({key: LabelCounts(personal) for key in learned} for _ in range(3))
        if concept.spare_shots_are_tests:
            for number, item in enumerate(concept.shots):
                without = {key: what for key, what in learned.items() if key[1] <= number}  # key[1] is K
                self._test(concept, item, without, alone)
        for counts, items in (
            (alone, (*concept.positives, *concept.negatives)),
            (beside, concept.pairs),
            (alike, concept.look_alikes),
        ):
            for item in items:
                self._test(concept, item, learned, counts)
        return [
            Result(
                *key,
                positives=len(concept.positives_at(key[1])),
                negatives=len(concept.negatives),
                pairs=len(concept.pairs),
                iou=alone[key].personal.iou,
                precision=alone[key].personal.precision,
                recall=alone[key].personal.recall,
                false_alarms=alone[key].personal.false_alarm_rate,
                miou=alone[key].words.mean_iou(),
                others_miou=alone[key].words.mean_iou(leave_out=[personal]),
                pairs_iou=beside[key].personal.iou,
                pairs_miou=beside[key].words.mean_iou(),
                photo_iou=alone[key].personal.photo_iou,
                best_proposal=alone[key].personal.best_proposal,
                missed=alone[key].personal.missed_rate,
                look_alikes=len(concept.look_alikes),
                look_alike_alarms=alike[key].personal.false_alarm_rate,
            )
            for key in learned
        ]

    def learn(self, concept: ConceptSet, method: Method, shots: int, seed: int) -> Concept:
        """What a method with a fit learns of a concept."""
        assert method.config is not None
        return _Fits(self, concept).learn([(method, shots, seed)])[0]

    def _runs(self, method: Method) -> list[tuple[int, int]]:
        """Numbers of shots and seeds that make a difference to a method."""
        counts = (0,) if method.kind == "text" else self.shots
        seeds = self.seeds if method.kind == "fit" else self.seeds[:1]
        return [(count, seed) for count in counts for seed in seeds]

    def _learn(self, concept: ConceptSet) -> dict[Key, _Learned]:
        fits = _Fits(self, concept)
        words = self.manifest.words_beside(concept)
        runs = [(method, count, seed) for method in self.methods for count, seed in self._runs(method)]
        heads = iter(fits.learn([run for run in runs if run[0].config]))
        learned: dict[Key, _Learned] = {}
        for method, count, seed in runs:
            what = _Learned()
            if method.config:
                what = _Learned(concept=ready_concept(self.base, next(heads), words))
            elif method.kind == "knn":
                what = _Learned(memory=knn.Memory.of([fits.see(shot).example for shot in fits.shots[:count]]))
            elif method.kind == "seggpt":
                what = _Learned(prompts=fits.shots[:count])
            learned[concept.name, count, method.name, seed] = what
        return learned

    @torch.no_grad()
    def _test(self, concept: ConceptSet, item: Item, learned: _ByKey, counts: Mapping[Key, LabelCounts]) -> None:
        if not learned:
            return
        image = self.manifest.image(item)
        proposals = propose(self.base, image, self.cache)
        text = self.base.encode(self.manifest.words_beside(concept))
        plain = score(proposals, text, [], self.base.word_scores, self.base.traits)
        scores = {
            key: self._score(concept, proposals, text, plain, what) for key, what in learned.items() if not what.prompts
        }
        painted = paint([plain, *scores.values()], proposals.canvas, best=False)
        before, *after = (one.labels for one in painted)
        maps = dict(zip(scores, after, strict=True))
        personal = plain.words.shape[1]
        for key, what in learned.items():
            if what.prompts:
                maps[key] = np.where(self._segment(image, what.prompts), personal, before)
        told = self.manifest.labels(item, image, concept)
        mask = self.manifest.mask(item, image)
        truth = np.where(mask, personal, before if told is None else told)
        sought = mask.any() and item not in concept.pairs
        proposed = best_ious(proposals, torch.from_numpy(mask)[None])[0] if sought else math.nan
        for key, found in maps.items():
            counts[key].add(found, truth, proposed)

    def _score(
        self, concept: ConceptSet, proposals: Proposals, text: Tensor, plain: ScoredProposals, learned: _Learned
    ) -> ScoredProposals:
        if learned.memory:
            return learned.memory.score(proposals, plain.words, self.base.traits.logit_scale)
        if learned.concept:
            return score(proposals, text, [learned.concept], self.base.word_scores, self.base.traits)
        # The class word joins the vocabulary and is read as the concept.
        rule = self.base.word_scores(proposals, torch.cat((text, self.base.encode([concept.class_name]))))
        order = [*range(len(text)), *range(len(text) + 1, rule.shape[1])]
        return ScoredProposals(proposals.masks, rule[:, order], rule[:, len(text), None], (None,))

    def _segment(self, image: RGBImage, prompts: Sequence[Shot]) -> BoolMask:
        assert self._seggpt is not None
        return self._seggpt.segment(image, prompts)


_Run = tuple[FitConfig, int, bool]  # number of shots, whether with the album


class _Fits:
    """The fits of one concept: a shot passes through the base once, and all fits step together."""

    def __init__(self, examiner: Examiner, concept: ConceptSet):
        self._base, self._cache, self._manifest = examiner.base, examiner.cache, examiner.manifest
        self._concept = concept
        self.shots = [examiner.manifest.shot(item) for item in concept.shots[: max(examiner.shots)]]
        self._seen: dict[bytes, SeenShot] = {}

    def see(self, shot: Shot) -> SeenShot:
        digest = hashlib.sha256(repr(shot.image.shape).encode() + shot.image.tobytes() + shot.mask.tobytes()).digest()
        if digest not in self._seen:
            self._seen[digest] = SeenShot(shot, propose(self._base, shot.image, self._cache))
        return self._seen[digest]

    def learn(self, runs: Sequence[tuple[Method, int, int]]) -> list[Concept]:
        """What is learned with each method that has a fit, number of shots and seed. What differs only in inference
        is fitted once."""
        words = ConceptWords(self._base, self._concept.name, self._concept.class_name)
        wanted = [(replace(m.config, seed=seed), count, m.album) for m, count, seed in runs if m.config]
        with_masks = {(_maskless(config), *rest): config for config, *rest in wanted if config.negative}
        plans: dict[_Run, FitPlan] = {}
        chosen: list[_Run] = []
        for config, count, album in wanted:
            plain = _maskless(config)
            fitted = config if config.negative else with_masks.get((plain, count, album), plain)
            chosen.append((fitted, count, album))
            if chosen[-1] not in plans:
                plans[chosen[-1]] = self._plan(words, *chosen[-1])
        outcomes = iter(fit_all([task for plan in plans.values() for task in plan.tasks], self._base.traits))
        concepts = {key: plan.concept(list(itertools.islice(outcomes, len(plan.tasks)))) for key, plan in plans.items()}
        return [
            replace(concepts[key], config=replace(concepts[key].config, negative=config.negative))
            for key, (config, _, _) in zip(chosen, wanted, strict=True)
        ]

    def _plan(self, words: ConceptWords, config: FitConfig, count: int, album: bool) -> FitPlan:
        shots = [self.see(shot) for shot in self.shots[:count]]
        views = [self.see(view) for view in more_views(self.shots[:count], config.views - count)]
        found = search_album(words, [*shots, *views], config, self._album()) if album else None
        return FitPlan(
            words, shots, config, views=views, album=found, leave_one_out=config.has_competitors, report=False
        )

    def _album(self) -> Iterator[Proposals]:
        """What the base sees in the concept's unlabelled photos."""
        for item in self._concept.album:
            yield propose(self._base, self._manifest.image(item), self._cache)


def _maskless(config: FitConfig) -> FitConfig:
    """The same fit without the negative mask, whose loss moves nothing else."""
    return replace(config, negative=False, lambda_m=0.0)
