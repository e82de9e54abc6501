"""Pictures beside each other: a photo, its truth, text only, the paper's method, and its negative mask."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from ovss_personal.benchmarks.manifest import ConceptSet, Item
from ovss_personal.engine.find import Finder
from ovss_personal.engine.see import Seen, see
from ovss_personal.evaluation.examiner import Examiner
from ovss_personal.evaluation.methods import FULL, known_methods
from ovss_personal.painting.grid import mask_rows
from ovss_personal.painting.overlay import contact_sheet, shrunk
from ovss_personal.store.concept import Concept
from ovss_personal.store.files import atomic_write, safe_name
from ovss_personal.structures import BoolMask, RGBImage

SIDE = 240  # of a picture, in pixels


def write_sheets(examiner: Examiner, folder: Path, count: int) -> list[Path]:
    """`sheet_<concept>.png` of the first `count` concepts, with the most shots: a positive, a negative, a pair."""
    known = {method.name: method for method in examiner.methods}
    full = known.get(FULL) or known_methods(examiner.base.fit_defaults, examiner.base.paper_defaults)[FULL]
    written = []
    for concept in examiner.manifest.concepts[:count]:
        shots = max(examiner.shots)
        learned = examiner.learn(concept, full, shots, examiner.seeds[0])
        items = (*concept.positives[:1], *concept.negatives[:1], *concept.pairs[:1])
        pictures = [picture for item in items for picture in _row(examiner, concept, item, learned, shots)]
        stream = io.BytesIO()
        contact_sheet(pictures, columns=5, side=SIDE).save(stream, "PNG")
        written.append(folder / f"sheet_{safe_name(concept.name)}.png")
        atomic_write(written[-1], stream.getvalue())
    return written


def _row(
    examiner: Examiner, concept: ConceptSet, item: Item, learned: Concept, shots: int
) -> list[tuple[RGBImage, BoolMask | None, str]]:
    base, image = examiner.base, examiner.manifest.image(item)
    words = examiner.manifest.words_beside(concept)
    truth = examiner.manifest.mask(item, image)
    seen = see(base, image, examiner.cache)
    plain = Finder(base, [*words, concept.class_name]).find(seen)
    personal = Finder(base, words, [learned]).find(seen)
    masks = {
        "photo": truth & False,
        "truth": truth,
        "text only": plain.mask(concept.class_name),
        f"full, K = {shots}": personal.mask(concept.name),
        "negative mask": _negative(seen, learned),
    }
    return [(*shrunk(image, mask, SIDE), caption) for caption, mask in masks.items()]


def _negative(seen: Seen, learned: Concept) -> BoolMask:
    masks = seen.proposals.masks
    with torch.inference_mode():
        logits = learned.head.to(masks.device).negative_mask(masks)[None]
        found = mask_rows(logits, seen.proposals.canvas, 0, seen.image.shape[0])[0] > 0
    mask: BoolMask = found.cpu().numpy()
    return mask
