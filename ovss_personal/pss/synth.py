"""A labelled source and the album of one made-up user, from cut-outs and photographs: no data set need be downloaded.

The source shows VOC's classes, as far as there are cut-outs of them, in even light on its own backgrounds. The user
photographs occasion by occasion: each has its place, light and blur, and a few things of the user's that recur in its
photos. So the album has groups, and there is a gap to the source; what the user owns is in no source photo unless
its class has but one cut-out.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from ovss_personal.benchmarks.composites.paste import crop_background, paste, random_augmentation, render
from ovss_personal.benchmarks.composites.sources import (
    RGB,
    SHOT_BACKGROUNDS,
    TEST_BACKGROUNDS,
    TRAIN_BACKGROUNDS,
    Sources,
)
from ovss_personal.pss.album import ANNOTATED, MASKS, PHOTOS, Labels, Photo, write_list
from ovss_personal.pss.classes import CLASSES
from ovss_personal.store.files import atomic_write

SOURCE, ALBUM, SOURCE_LIST = "source", "album", "list/train_aug.txt"
SIDE = 320
_CUTOUT_SIDE = 320

# Cut-outs that show a class of VOC: a name below the stamps folder, or a folder that ends in a slash.
STAMPS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("vehicles/flight/planes/", "military/vehicles/f22_raptor"),
    "bicycle": ("vehicles/cycle/",),
    "bird": ("animals/birds/",),
    "boat": ("vehicles/ship/",),
    "bus": ("vehicles/masstransit/",),
    "car": ("vehicles/auto/", "vehicles/emergency/sedan_police", "vehicles/race/indycar"),
    "cat": ("animals/mammals/cats/",),
    "cow": (
        *("animals/mammals/bovines/bison", "animals/mammals/bovines/bull", "animals/mammals/bovines/cow"),
        *("animals/mammals/bovines/cow_white", "animals/mammals/bovines/yak", "animals/mammals/bovines/zebu"),
    ),
    "dog": ("animals/mammals/dogs/",),
    "horse": ("animals/mammals/equines/",),
    "person": ("people/fireman200b", "people/fireman240a", "military/fireman240a"),
    "pottedplant": ("plants/lavender", "plants/lettuce_bolted", "plants/thyme"),
    "sheep": (
        *("animals/mammals/bovines/sheep", "animals/mammals/bovines/sheep_lamb", "animals/mammals/bovines/ram"),
        *("animals/mammals/bovines/goat", "animals/mammals/bovines/mountaingoat"),
    ),
}
_OWNED = 0.4  # share of a class's cut-outs that are the user's


@dataclass(frozen=True)
class _Occasion:
    """What the photos of one occasion share; `things` are (class index, cut-out)."""

    background: RGB
    gain: tuple[float, float, float]
    blur: float
    things: tuple[tuple[int, str], ...]


def build(
    out: Path, sources: Sources, *, source_photos: int = 240, occasions: int = 10, photos: int = 10, seed: int = 0
) -> tuple[Path, Path]:
    """Write `out/source` and `out/album` and return them. The same seed writes the same bytes.

    Args:
        source_photos: of the labelled source.
        occasions: groups of the album.
        photos: in each occasion.
    """
    owned, others = _shared_out(sources, np.random.default_rng([seed, 0]))
    plain = [sources.background(name) for name in TRAIN_BACKGROUNDS]
    source, album = out / SOURCE, out / ALBUM
    listed = []
    for number in range(source_photos):
        rng = np.random.default_rng([seed, 1, number])
        things = _chosen(rng, others, int(rng.integers(1, 4)))
        image, labels = _scene(rng, sources, plain[int(rng.integers(len(plain)))], things)
        listed.append(_write(source, f"source_{number:04d}", image, labels))
    write_list(source / SOURCE_LIST, listed, source)

    names = (*SHOT_BACKGROUNDS, *TEST_BACKGROUNDS)
    order = np.random.default_rng([seed, 2]).permutation(len(names))
    listed = []
    for occasion in range(occasions):
        rng = np.random.default_rng([seed, 3, occasion])
        background = sources.background(names[int(order[occasion % len(names)])])
        shared = _occasion(rng, background, owned)
        for number in range(photos):
            rng = np.random.default_rng([seed, 4, occasion, number])
            shown = rng.permutation(len(shared.things))[: int(rng.integers(1, len(shared.things) + 1))]
            image, labels = _scene(rng, sources, shared.background, [shared.things[int(i)] for i in shown])
            listed.append(_write(album, f"album_{occasion:02d}_{number:02d}", _seen(rng, image, shared), labels))
    write_list(album / ANNOTATED, listed, album)
    return source, album


Things = Sequence[tuple[int, str]]


def _shared_out(sources: Sources, rng: np.random.Generator) -> tuple[Things, Things]:
    """The user's cut-outs and the source's, as (class index, name); a class with one cut-out is in both."""
    names = [name for split in ("birds", "distractors", "train") for name in sources.stamps(split)]
    owned, others = [], []
    for index, kind in enumerate(CLASSES):
        wanted = STAMPS.get(kind, ())
        folders = tuple(entry for entry in wanted if entry.endswith("/"))
        found = [name for name in names if name in wanted or name.startswith(folders)]
        if not found:
            continue
        mixed = [str(name) for name in rng.permutation(found)]
        cut = max(1, round(_OWNED * len(mixed)))
        owned += [(index, name) for name in mixed[:cut]]
        others += [(index, name) for name in mixed[cut:] or mixed]
    return owned, others


def _chosen(rng: np.random.Generator, things: Things, count: int) -> list[tuple[int, str]]:
    """Things of as many classes, every class as likely as another."""
    kinds = sorted({index for index, _ in things})
    chosen = rng.permutation(kinds)[:count]
    pools = [[thing for thing in things if thing[0] == kind] for kind in chosen]
    return [pool[int(rng.integers(len(pool)))] for pool in pools]


def _occasion(rng: np.random.Generator, background: RGB, owned: Things) -> _Occasion:
    warmth, brightness = rng.uniform(-0.25, 0.25), rng.uniform(0.55, 1.1)
    gain = (brightness * (1 + warmth), brightness, brightness * (1 - warmth))
    return _Occasion(background, gain, rng.uniform(0, 1.5), tuple(_chosen(rng, owned, 3)))


def _scene(rng: np.random.Generator, sources: Sources, background: RGB, things: Things) -> tuple[RGB, Labels]:
    image = crop_background(rng, background, SIDE)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for place, (kind, name) in enumerate(things):
        augmentation = random_augmentation(rng, SIDE * rng.uniform(0.3, 0.6))
        centre = (SIDE * (place + rng.uniform(0.3, 0.7)) / len(things), SIDE * rng.uniform(0.35, 0.75))
        drawn = render(sources.cutout(name, _CUTOUT_SIDE), augmentation)
        labels[paste(image, drawn, centre, shadow=rng.uniform(0, 0.4))] = kind
    return image, labels


def _seen(rng: np.random.Generator, image: RGB, occasion: _Occasion) -> RGB:
    """The scene in the occasion's light, through the user's lens."""
    lit = np.clip(image * np.asarray(occasion.gain, np.float32), 0, 255).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(lit).filter(ImageFilter.GaussianBlur(occasion.blur)), np.float32)
    noise = rng.normal(0, 4, blurred.shape)
    return np.clip(blurred + noise, 0, 255).astype(np.uint8)


def _write(folder: Path, name: str, image: RGB, labels: Labels) -> Photo:
    from ovss_personal.painting.overlay import index_png

    photo = Photo(folder / PHOTOS / f"{name}.jpg", folder / MASKS / f"{name}.png")
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=92)
    atomic_write(photo.image, stream.getvalue())
    atomic_write(photo.mask, index_png(labels))
    return photo
