"""A benchmark in detectron2's catalogs, for those who have detectron2: nothing else of the program needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest
from ovss_personal.benchmarks.pictures import VOID, TrainIds, save_labels
from ovss_personal.errors import UsageError
from ovss_personal.store.files import safe_name

SHOT_COUNTS = (1, 3, 5)
BACKGROUND = "background"


def register_detectron2(manifest: Manifest) -> list[str]:
    """Register shots and test sets in detectron2's DatasetCatalog and MetadataCatalog; returns their names.

    A set is called `{benchmark}_{concept}_{what}`, where what is `shots1`, `shots3`, `shots5`, `test` or `pairs`. It
    is in detectron2's format for semantic segmentation: `file_name`, `sem_seg_file_name`, `image_id`, `height`,
    `width`. The classes are the words and the concept where the truth of the words is known (ADE), else
    `background` and the concept. Labels are 16-bit PNGs, 65535 is ignored; they are written below the manifest's
    folder when a set is first asked for.

    Raises:
        UsageError: detectron2 is not installed.
    """
    try:
        from detectron2.data import DatasetCatalog, MetadataCatalog
    except ImportError as error:
        raise UsageError(
            "detectron2 is not installed.", hint="Install it from https://github.com/facebookresearch/detectron2."
        ) from error
    names = []
    for number, concept in enumerate(manifest.concepts):
        sets = {f"shots{count}": concept.shots[:count] for count in SHOT_COUNTS if count <= len(concept.shots)}
        sets |= {"test": (*concept.positives, *concept.negatives, *concept.look_alikes), "pairs": concept.pairs}
        for what, items in sets.items():
            if not items:
                continue
            name = f"{manifest.name}_{safe_name(concept.name)}_{what}"
            folder = f"detectron2/{number:03d}"
            DatasetCatalog.register(name, _Loader(manifest, concept, items, folder))
            MetadataCatalog.get(name).set(
                stuff_classes=list(_classes(manifest, concept)), ignore_label=VOID, evaluator_type="sem_seg"
            )
            names.append(name)
    return names


class _Loader:
    """What detectron2 calls for the list of a set."""

    def __init__(self, manifest: Manifest, concept: ConceptSet, items: Sequence[Item], folder: str) -> None:
        self.manifest, self.concept, self.items, self.folder = manifest, concept, items, folder

    def __call__(self) -> list[dict[str, Any]]:
        return [self._record(item) for item in self.items]

    def _record(self, item: Item) -> dict[str, Any]:
        labels = _labels(self.manifest, self.concept, item)
        return {
            "file_name": str(self.manifest.path(item.image)),
            "sem_seg_file_name": str(
                self.manifest.root / save_labels(self.manifest.root, f"{self.folder}/{item.sha256[:16]}", labels)
            ),
            "image_id": item.sha256[:16],
            "height": labels.shape[0],
            "width": labels.shape[1],
        }


def _classes(manifest: Manifest, concept: ConceptSet) -> tuple[str, ...]:
    known = any(item.labels is not None for item in concept.positives)
    return (*(manifest.words_beside(concept) if known else (BACKGROUND,)), concept.name)


def _labels(manifest: Manifest, concept: ConceptSet, item: Item) -> TrainIds:
    """(H, W) indices into the classes of the set."""
    image = manifest.image(item)
    classes = _classes(manifest, concept)
    words = manifest.labels(item, image, concept)
    if words is not None:
        labels = np.where(words < 0, VOID, words).astype(np.uint16)
    else:  # a shot of ADE says nothing of the other words
        rest = 0 if BACKGROUND in classes[:1] else VOID
        labels = np.full(image.shape[:2], rest, np.uint16)
    labels[manifest.mask(item, image)] = len(classes) - 1
    return labels
