"""Run methods over a manifest. Every image passes through the base once, whatever the number of methods and K."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ovss_personal.api import personalize, propose, scored_proposals
from ovss_personal.bases.base import Base
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest
from ovss_personal.cache import ProposalCache
from ovss_personal.config import FitConfig
from ovss_personal.evaluation.metrics import Confusion, PersonalCounts
from ovss_personal.grid import mask_rows
from ovss_personal.io.files import atomic_write
from ovss_personal.label_map import ScoredProposals, concept_shares, decide, shares
from ovss_personal.personal.concept import Concept
from ovss_personal.structures import BoolMask, Proposals


@dataclass(frozen=True)
class Result:
    """One method with K shots (0: it uses none) on one concept; shares in [0, 1].

    `pairs_iou` is of the side-by-side images.
    """

    concept: str
    method: str
    shots: int
    iou: float
    precision: float
    recall: float
    false_alarms: float
    others_miou: float
    pairs_iou: float


@dataclass(frozen=True)
class _Test:
    """A test image ready to be scored: everything about it that no method changes, at full size.

    Attributes:
        weights: (N, H, W) sigmoid masks; `total` (H, W) their sum.
        open_sums: (V, H, W) of the unpersonalised words.
        words: (H, W) the true word of each pixel, -1 where none is known; the labels that the unpersonalised base
            gives where the benchmark has no truth of its own.
    """

    proposals: Proposals
    truth: BoolMask
    weights: Tensor
    total: Tensor
    open_sums: Tensor
    words: Tensor


def evaluate(
    base: Base,
    manifest: Manifest,
    methods: dict[str, FitConfig | None],
    shots: Sequence[int] = (1, 3, 5),
    out: Path | None = None,
    cache: ProposalCache | None = None,
) -> list[Result]:
    """Every method with every K on every concept of the manifest.

    With `out`, each concept's results are written there when it is done, and a run that was cut off goes on from
    what is there, unless base, words or methods changed.
    """
    if cache is None:  # an image is looked at once even so: its shots serve every method
        with tempfile.TemporaryDirectory() as folder:
            return evaluate(base, manifest, methods, shots, out, ProposalCache(Path(folder)))
    results: list[Result] = []
    for concept in tqdm(manifest.concepts, desc=manifest.name, disable=None):
        stored = out / f"{_run_key(base, manifest.words, methods, shots, concept)}.json" if out else None
        if stored and stored.is_file():
            results += [Result(**row) for row in json.loads(stored.read_text("utf-8"))]
            continue
        new = list(_on_concept(base, manifest, concept, methods, shots, cache))
        if stored:
            atomic_write(stored, json.dumps([asdict(result) for result in new], indent=1).encode())
        results += new
    return results


def _on_concept(
    base: Base,
    manifest: Manifest,
    concept: ConceptSet,
    methods: dict[str, FitConfig | None],
    shots: Sequence[int],
    cache: ProposalCache,
) -> Iterator[Result]:
    words = manifest.words_beside(concept)
    text = base.encode(words)
    loaded = [manifest.shot(item) for item in concept.shots]
    learned: dict[tuple[str, int], Concept | None] = {}
    for method, config in methods.items():
        for count in shots if config else (0,):
            learned[method, count] = (
                None
                if config is None
                else personalize(
                    base,
                    loaded[:count],
                    concept=concept.name,
                    class_name=concept.class_name,
                    config=config,
                    cache=cache,
                    leave_one_out=config.hidden,
                )
            )
    personal = len(words) + len(base.extra_words)
    single = {key: (PersonalCounts(), Confusion(personal + 1)) for key in learned}
    beside = {key: PersonalCounts() for key in learned}
    for kind, items in (("single", (*concept.positives, *concept.negatives)), ("beside", concept.pairs)):
        for item in items:
            test = _look(base, manifest, concept, item, cache)
            for key, fitted in learned.items():
                labels = _label(base, test, words, text, concept, fitted)
                found = (labels == personal).numpy()
                if kind == "beside":
                    beside[key].add(found, test.truth)
                    continue
                counts, confusion = single[key]
                counts.add(found, test.truth)
                truth = test.words.clone()
                truth[torch.from_numpy(test.truth)] = personal
                confusion.add(labels.numpy(), truth.numpy(), (truth >= 0).numpy())
    for (method, count), (counts, confusion) in single.items():
        yield Result(
            concept=concept.name,
            method=method,
            shots=count,
            iou=counts.iou,
            precision=counts.precision,
            recall=counts.recall,
            false_alarms=counts.false_alarm_rate,
            others_miou=confusion.mean_iou(leave_out=[personal]),
            pairs_iou=beside[method, count].iou,
        )


@torch.no_grad()
def _look(base: Base, manifest: Manifest, concept: ConceptSet, item: Item, cache: ProposalCache) -> _Test:
    image = manifest.image(item)
    proposals = propose(base, image, cache)
    weights = mask_rows(proposals.masks, proposals.canvas, 0, image.shape[0]).sigmoid()
    open_sums, none = shares(scored_proposals(base, proposals, manifest.words_beside(concept), []), weights)
    total = weights.sum(0)
    labels = manifest.labels(item, image, concept)
    words = decide(open_sums, none, total, ()) if labels is None else torch.from_numpy(labels).long()
    return _Test(proposals, manifest.mask(item, image), weights, total, open_sums, words)


@torch.no_grad()
def _label(
    base: Base, test: _Test, words: Sequence[str], text: Tensor, concept: ConceptSet, fitted: Concept | None
) -> Tensor:
    """(H, W) labels: words, the base's extra words, then the concept."""
    if fitted is None:  # the class word joins the vocabulary and is read as the concept
        rule = base.word_scores(test.proposals, torch.cat((text, base.encode([concept.class_name]))))
        count = len(words)
        order = [*range(count), *range(count + 1, rule.shape[1])]
        scored = ScoredProposals(test.proposals.masks, rule[:, order], rule[:, [count]], (None,))
    else:
        scored = scored_proposals(base, test.proposals, words, [fitted])
    if fitted is not None and fitted.config.hidden:  # the open words are as they were
        return decide(test.open_sums, concept_shares(scored, test.weights), test.total, scored.thresholds)
    weights, negatives = test.weights, scored.masks[len(test.weights) :]
    if len(negatives):
        rows = mask_rows(negatives, test.proposals.canvas, 0, test.truth.shape[0])
        weights = torch.cat((weights, rows.sigmoid()))
    sums, personal = shares(scored, weights)
    return decide(sums, personal, weights.sum(0), scored.thresholds)


def _run_key(
    base: Base,
    words: Sequence[str],
    methods: dict[str, FitConfig | None],
    shots: Sequence[int],
    concept: ConceptSet,
) -> str:
    settings = {name: config and asdict(config) for name, config in methods.items()}
    text = json.dumps([base.fingerprint, list(words), settings, list(shots), asdict(concept)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
