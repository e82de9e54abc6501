"""Stamps^per: the benchmark that needs no download of a data set. "My bird" among other birds.

Photographic cut-outs on photographs, everything from one seed. Neither the birds nor the test backgrounds are ever
seen in the decoder's training (composites/sources.py holds the split), and shots and tests share no background.

    ovss-personal benchmark build stamps --out OUT
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.composites.paste import BoolMask, crop_background, paste, random_look, render
from ovss_personal.composites.sources import RGB, SHOT_BACKGROUNDS, TEST_BACKGROUNDS, Sources
from ovss_personal.io.files import atomic_write, sha256_file

SIZE = 512
SHOTS, POSITIVES, NEGATIVES, PAIRS = 5, 10, 10, 2
# Words of things that a photo may show; not "bird", which the personal word stands in for.
WORDS = (
    "cat", "dog", "horse", "fish", "butterfly", "car", "truck", "boat", "bicycle", "guitar", "violin", "apple",
    "orange", "banana", "strawberry", "pear", "lemon", "pineapple", "flower", "tree", "grass", "leaf", "house",
    "person", "chair", "table", "book", "cup", "bottle", "shoe", "hat", "clock", "ball", "umbrella", "kite",
)  # fmt: skip


def build(out: Path, sources: Sources, birds: int = 24, seed: int = 0) -> Path:
    """Make the pictures and `manifest.json` below `out`; returns the manifest's path. Same seed, same bytes."""
    names = sources.stamps("birds")
    targets = sorted(np.random.default_rng([seed, 1]).permutation(names)[:birds].tolist())
    painter = Painter(sources)
    concepts = []
    for index, target in enumerate(tqdm(targets, desc="stamps", disable=None)):
        rng = np.random.default_rng([seed, 2, index])
        others = [name for name in names if name != target]
        name = f"my {sources.kind(target).split(' (')[0]} {index}"
        folder = Path(f"{index:02d}")

        def save(kind: str, number: int, picture: tuple[RGB, BoolMask], folder: Path = folder) -> Item:
            return _save(out, folder / f"{kind}_{number:02d}", *picture)

        shots = [save("shot", i, painter.single(rng, target, SHOT_BACKGROUNDS, corner=False)) for i in range(SHOTS)]
        positives = [
            save("positive", i, painter.single(rng, target, TEST_BACKGROUNDS, corner=i % 2 == 1))
            for i in range(POSITIVES)
        ]
        negatives = []
        for i in range(NEGATIVES):
            image, _ = painter.single(rng, str(rng.choice(others)), TEST_BACKGROUNDS, corner=i % 2 == 1)
            negatives.append(save("negative", i, (image, np.zeros(image.shape[:2], bool))))
        pairs = []
        for i in range(PAIRS):
            for order, picture in enumerate(painter.pair(rng, target, str(rng.choice(others)))):
                pairs.append(save("pair", 2 * i + order, picture))
        concepts.append(ConceptSet(name, "bird", tuple(shots), tuple(positives), tuple(negatives), tuple(pairs)))
    return write_manifest(Manifest("stamps", WORDS, tuple(concepts), out))


class Painter:
    """Paints benchmark pictures; keeps the backgrounds in memory."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.backgrounds = {name: sources.background(name) for name in (*SHOT_BACKGROUNDS, *TEST_BACKGROUNDS)}
        self.distractors = sources.stamps("distractors")

    def single(
        self, rng: np.random.Generator, bird: str, backgrounds: tuple[str, ...], corner: bool
    ) -> tuple[RGB, BoolMask]:
        """One bird near the middle; with `corner`, a thing of another kind in a corner behind it."""
        image = self._ground(rng, backgrounds)
        if corner:
            thing = self.sources.cutout(str(rng.choice(self.distractors)))
            drawn = render(thing, random_look(rng, SIZE * rng.uniform(0.2, 0.35)))
            x, y = rng.choice((0.15, 0.85), 2) * SIZE
            paste(image, drawn, (x, y))
        look = random_look(rng, SIZE * rng.uniform(0.3, 0.75))
        centre = rng.uniform(0.35, 0.65, 2) * SIZE
        return image, paste(image, render(self.sources.cutout(bird), look), (centre[0], centre[1]))

    def pair(self, rng: np.random.Generator, bird: str, other: str) -> list[tuple[RGB, BoolMask]]:
        """The bird beside another one, in both orders on the same background."""
        ground = self._ground(rng, TEST_BACKGROUNDS)
        drawn = [
            render(self.sources.cutout(name), random_look(rng, SIZE * rng.uniform(0.3, 0.45))) for name in (bird, other)
        ]
        y = rng.uniform(0.4, 0.6, 2) * SIZE
        pictures = []
        for places in ((0.27, 0.73), (0.73, 0.27)):
            image = ground.copy()
            mask = paste(image, drawn[0], (places[0] * SIZE, y[0]))
            mask &= ~paste(image, drawn[1], (places[1] * SIZE, y[1]))
            pictures.append((image, mask))
        return pictures

    def _ground(self, rng: np.random.Generator, backgrounds: tuple[str, ...]) -> RGB:
        return crop_background(rng, self.backgrounds[str(rng.choice(backgrounds))], SIZE)


def _save(out: Path, stem: Path, image: RGB, mask: BoolMask) -> Item:
    picture = stem.with_suffix(".jpg")
    atomic_write(out / picture, _encoded(image, "JPEG", quality=95))
    truth = None
    if mask.any():
        truth = stem.with_name(f"{stem.name}_mask.png").as_posix()
        atomic_write(out / truth, _encoded((mask * 255).astype(np.uint8), "PNG"))
    return Item(picture.as_posix(), truth, sha256_file(out / picture))


def _encoded(pixels: RGB, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()
