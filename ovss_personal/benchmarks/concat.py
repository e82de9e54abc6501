"""Concat (the paper's table 7): every positive of a benchmark beside one of its negatives, at equal height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ovss_personal.benchmarks.choice import rng_of
from ovss_personal.benchmarks.manifest import DATA, Item, Manifest, read_manifest, write_manifest
from ovss_personal.benchmarks.pictures import read_labels, save_labels, save_mask, save_photo
from ovss_personal.io.files import sha256_file
from ovss_personal.io.mask_checks import nearest
from ovss_personal.pixels.images import Scalar
from ovss_personal.store.files import safe_name


def build(root: Path, out: Path, seed: int = 0, tests: int | None = None) -> Path:
    """Write the same benchmark with new `pairs` below `out`; returns its manifest's path. Same seed, same bytes.

    The positive keeps its size, the negative is scaled to its height; half of the positives stand on the left.

    Args:
        root: the folder of a built benchmark.
        out: where manifest and pictures go; another folder.
        seed: decides who stands beside whom, and on which side.
        tests: side-by-side pictures of a concept, at most; one for each positive by default.

    Raises:
        ConfigError: `root` is no benchmark.
        InputError: one of its pictures changed or cannot be read.
    """
    source = read_manifest(root / "manifest.json")
    concepts = []
    for number, concept in enumerate(tqdm(source.concepts, desc="concat", disable=None)):
        rng = rng_of(seed, concept.name)
        order = rng.permutation(len(concept.negatives))  # every negative once before any comes twice
        left = rng.permutation(len(concept.positives)) % 2 == 0
        pairs = []
        for index, positive in enumerate(concept.positives[:tests]):
            negative = concept.negatives[order[index % len(order)]]
            stem = f"{number:03d}_{safe_name(concept.name)}/{index:03d}"
            pairs.append(_pair(source, positive, negative, bool(left[index]), out, stem))
        concepts.append(
            replace(
                concept,
                shots=_below_data(concept.shots),
                positives=_below_data(concept.positives),
                negatives=_below_data(concept.negatives),
                pairs=tuple(pairs),
                album=_below_data(concept.album),
                look_alikes=_below_data(concept.look_alikes),
            )
        )
    return write_manifest(Manifest(f"{source.name}-concat", source.words, tuple(concepts), out), data=root)


def _pair(source: Manifest, positive: Item, negative: Item, left: bool, out: Path, stem: str) -> Item:
    image, other = source.image(positive), source.image(negative)
    mask = source.mask(positive, image)
    height = image.shape[0]
    width = max(1, round(other.shape[1] * height / other.shape[0]))
    beside = np.asarray(Image.fromarray(other).resize((width, height), Image.Resampling.BILINEAR))
    photo = save_photo(out, stem, _joined(image, beside, left))
    truth = save_mask(out, stem, _joined(mask, np.zeros((height, width), bool), left))
    labels = None
    if positive.labels is not None and negative.labels is not None:
        own = read_labels(source.path(positive.labels), (height, image.shape[1]))
        theirs = read_labels(source.path(negative.labels), (other.shape[0], other.shape[1]))
        labels = save_labels(out, stem, _joined(own, nearest(theirs, (height, width)), left))
    return Item(photo, truth, sha256_file(out / photo), labels)


def _joined(own: npt.NDArray[Scalar], other: npt.NDArray[Scalar], left: bool) -> npt.NDArray[Scalar]:
    """(H, W1, ...), (H, W2, ...) -> (H, W1 + W2, ...) with `own` at the left or at the right."""
    return np.concatenate((own, other) if left else (other, own), axis=1)


def _below_data(items: Sequence[Item]) -> tuple[Item, ...]:
    """The items as the new manifest calls them: their files stay where they are."""

    def below(name: str | None) -> str | None:
        return None if name is None else DATA + name

    return tuple(replace(i, image=DATA + i.image, mask=below(i.mask), labels=below(i.labels)) for i in items)
