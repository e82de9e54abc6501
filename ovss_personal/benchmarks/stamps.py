"""Stamps^per: the benchmark that needs no download of a data set. "My bird" among other birds.

Photographic cut-outs on photographs, everything from one seed. Neither the birds nor the test backgrounds are ever
seen in the decoder's training (composites/sources.py holds the split), and shots and tests share no background.

    ovss-personal benchmark build stamps --out OUT
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ovss_personal.benchmarks.composites.paste import BoolMask, crop_background, paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import RGB, SHOT_BACKGROUNDS, STAMPS, TEST_BACKGROUNDS, Sources
from ovss_personal.benchmarks.manifest import ConceptSet, Item, Manifest, write_manifest
from ovss_personal.benchmarks.pictures import save_mask, save_photo
from ovss_personal.errors import InputError
from ovss_personal.io.files import sha256_file

SIZE = 512
SHOTS, POSITIVES, NEGATIVES, PAIRS = 5, 10, 10, 2
MOST_BIRDS = 6  # in one picture, on a grid of three by two
# Words of things that a photo may show; not "bird", which the personal word stands in for.
WORDS = (
    "cat", "dog", "horse", "fish", "butterfly", "car", "truck", "boat", "bicycle", "guitar", "violin", "apple",
    "orange", "banana", "strawberry", "pear", "lemon", "pineapple", "flower", "tree", "grass", "leaf", "house",
    "person", "chair", "table", "book", "cup", "bottle", "shoe", "hat", "clock", "ball", "umbrella", "kite",
)  # fmt: skip


def build(out: Path, sources: Sources, birds: int = 24, seed: int = 0, look_alikes: int = 0, album: int = 0) -> Path:
    """Make the pictures and `manifest.json` below `out`; returns the manifest's path. Same seed, same bytes.

    Args:
        out: the benchmark's folder.
        sources: cut-outs and backgrounds.
        birds: how many concepts.
        seed: of everything that is drawn.
        look_alikes: other birds that share each test picture with the bird, at most `MOST_BIRDS` - 1; a negative
            shows one more of them in its place. 0 is one bird a picture.
        album: unlabelled photos beside the shots, on the shots' backgrounds; every other one shows the bird, the rest
            other birds.

    Raises:
        InputError: there are not as many birds, no things of other kinds, or a picture is missing or broken.
    """
    names, things = sources.stamps("birds"), sources.stamps("distractors")
    needed = max(birds, look_alikes + 2)
    if len(names) < needed or not things:
        raise InputError(
            f"{needed} birds and a thing of another kind are needed, found {len(names)} and {len(things)}.",
            path=sources.root / STAMPS,
            hint="Ask for fewer --birds or --look-alikes, or unpack tuxpaint-stamps-default again.",
        )
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
        positives, negatives = [], []
        for i in range(POSITIVES):
            if look_alikes:
                beside = rng.choice(others, look_alikes, replace=False).tolist()
                positives.append(save("positive", i, painter.crowd(rng, [target, *beside])))
            else:
                picture = painter.single(rng, target, TEST_BACKGROUNDS, corner=i % 2 == 1)
                positives.append(save("positive", i, picture))
        for i in range(NEGATIVES):
            if look_alikes:
                image, _ = painter.crowd(rng, rng.choice(others, look_alikes + 1, replace=False).tolist())
            else:
                image, _ = painter.single(rng, str(rng.choice(others)), TEST_BACKGROUNDS, corner=i % 2 == 1)
            negatives.append(save("negative", i, (image, np.zeros(image.shape[:2], bool))))
        pairs = []
        for i in range(PAIRS):
            for order, picture in enumerate(painter.pair(rng, target, str(rng.choice(others)))):
                pairs.append(save("pair", 2 * i + order, picture))
        own = np.random.default_rng([seed, 3, index])  # so that everything else is the same without an album
        unlabelled = []
        for i in range(album):
            bird = target if i % 2 == 0 else str(own.choice(others))
            image, mask = painter.single(own, bird, SHOT_BACKGROUNDS, corner=i % 4 >= 2)
            unlabelled.append(save("album", i, (image, mask & (bird == target))))
        tests = (tuple(positives), tuple(negatives), tuple(pairs))
        concepts.append(ConceptSet(name, "bird", tuple(shots), *tests, tuple(unlabelled)))
    name = f"stamps-crowd-{look_alikes}" if look_alikes else "stamps"
    return write_manifest(Manifest(name, WORDS, tuple(concepts), out))


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
            drawn = render(thing, random_augmentation(rng, SIZE * rng.uniform(0.2, 0.35)))
            x, y = rng.choice((0.15, 0.85), 2) * SIZE
            paste(image, drawn, (x, y))
        augmentation = random_augmentation(rng, SIZE * rng.uniform(0.3, 0.75))
        centre = rng.uniform(0.35, 0.65, 2) * SIZE
        return image, paste(image, render(self.sources.cutout(bird), augmentation), (centre[0], centre[1]))

    def pair(self, rng: np.random.Generator, bird: str, other: str) -> list[tuple[RGB, BoolMask]]:
        """The bird beside another one, in both orders on the same background."""
        ground = self._ground(rng, TEST_BACKGROUNDS)
        drawn = [
            render(self.sources.cutout(name), random_augmentation(rng, SIZE * rng.uniform(0.3, 0.45)))
            for name in (bird, other)
        ]
        y = rng.uniform(0.4, 0.6, 2) * SIZE
        pictures = []
        for places in ((0.27, 0.73), (0.73, 0.27)):
            image = ground.copy()
            mask = paste(image, drawn[0], (places[0] * SIZE, y[0]))
            mask &= ~paste(image, drawn[1], (places[1] * SIZE, y[1]))
            pictures.append((image, mask))
        return pictures

    def crowd(self, rng: np.random.Generator, birds: list[str]) -> tuple[RGB, BoolMask]:
        """Several birds at places of their own, the later before the earlier; the mask is what is seen of the first."""
        image = self._ground(rng, TEST_BACKGROUNDS)
        cells = rng.permutation(MOST_BIRDS)[: len(birds)]
        mask = np.zeros(image.shape[:2], bool)
        for number in rng.permutation(len(birds)):
            column, row = cells[number] % 3, cells[number] // 3
            centre = (np.array([(column + 0.5) / 3, (row + 0.5) / 2]) + rng.uniform(-0.04, 0.04, 2)) * SIZE
            augmentation = random_augmentation(rng, SIZE * rng.uniform(0.24, 0.36))
            opaque = paste(image, render(self.sources.cutout(birds[number]), augmentation), (centre[0], centre[1]))
            mask = opaque if number == 0 else mask & ~opaque
        return image, mask

    def touching(
        self, rng: np.random.Generator, bird: str, other: str, thing: str
    ) -> list[tuple[RGB, BoolMask, BoolMask]]:
        """The bird beside another one, in both orders, and on the back of each the same small thing.

        Returns pictures, each with where the thing on the bird is and where its equal on the other one is.
        """
        ground = self._ground(rng, TEST_BACKGROUNDS)
        drawn = [
            render(self.sources.cutout(name), random_augmentation(rng, SIZE * rng.uniform(0.3, 0.45)))
            for name in (bird, other)
        ]
        small = render(self.sources.cutout(thing), random_augmentation(rng, SIZE * rng.uniform(0.12, 0.2)))
        y = rng.uniform(0.55, 0.65, 2) * SIZE
        along = rng.uniform(-0.04, 0.04, 2) * SIZE
        pictures = []
        for places in ((0.27, 0.73), (0.73, 0.27)):
            image = ground.copy()
            stands = [paste(image, drawn[i], (places[i] * SIZE, y[i])) for i in range(2)]
            masks = []
            for i in range(2):
                x = round(places[i] * SIZE + along[i])
                back = np.flatnonzero(stands[i][:, x]).min(initial=round(y[i]))
                masks.append(paste(image, small, (x, back - 0.3 * small.shape[0])))
            pictures.append((image, masks[0], masks[1]))
        return pictures

    def _ground(self, rng: np.random.Generator, backgrounds: tuple[str, ...]) -> RGB:
        return crop_background(rng, self.backgrounds[str(rng.choice(backgrounds))], SIZE)


def _save(out: Path, stem: Path, image: RGB, mask: BoolMask) -> Item:
    photo = save_photo(out, stem.as_posix(), image)
    truth = save_mask(out, stem.as_posix(), mask) if mask.any() else None
    return Item(photo, truth, sha256_file(out / photo))
