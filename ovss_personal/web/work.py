"""All that needs the base or a decoded photo. Runs on one thread, so that there is one of each in memory at a time.

That thread can be told to stop (worker.check), so whatever takes long asks in between whether it is still wanted.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ovss_personal.engine.find import Finder, compositions_in, way_of
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import Seen, SeenShot, see
from ovss_personal.errors import VocabularyError
from ovss_personal.io.images import decode
from ovss_personal.io.vocabulary import NAMED, check_words, named_words
from ovss_personal.painting.overlay import BACKGROUND_WORDS, index_png, word_colours
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.pixels.images import to_rgb
from ovss_personal.store.files import safe_name
from ovss_personal.structures import RGBImage, Shot
from ovss_personal.web.drawing import Outline, Stroke, draw
from ovss_personal.web.runs import grid_size, label_runs, outlines
from ovss_personal.web.tabs import Job, Photo
from ovss_personal.web.worker import check

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base
    from ovss_personal.store.concept import Concept

MAX_PIXELS = 50_000_000
PREVIEW_SIDE = 1024
MAX_WORDS = 200  # that a user types: a large text encoder reads a hundred in a second
WORDS_AT_ONCE = 8
BACKGROUND = "background"  # in pictures it is dimmed, not tinted
Drawn = tuple[Photo, Sequence[Outline | Stroke]]


def take_in(base: Base, name: str, data: bytes) -> Photo:
    """Decode an upload and pass it through the base. Raises ImageError if it is no photo that can be used."""
    image = _decode(name, data)
    check()
    preview = Image.fromarray(image)
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return Photo(
        name=name,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        preview=_encoded(preview, "JPEG", quality=88),
        preview_size=(preview.height, preview.width),
        proposals=see(base, image).proposals,
    )


def describe_photo(photo: Photo) -> dict[str, Any]:
    """What the page needs of a photo: sizes, and the outlines that can be clicked."""
    height, width = photo.proposals.canvas.original
    grid = grid_size(height, width)
    return {
        "name": photo.name,
        "size": [height, width],
        "preview": list(photo.preview_size),
        "grid": list(grid),
        "outlines": outlines(photo.proposals),
    }


def learn(base: Base, job: Job, drawn: Sequence[Drawn], concept: str, class_name: str) -> Concept:
    """Personalise from photos and what was drawn on them, telling `job` how far it is."""

    def progress(done: int, total: int, stage: str) -> None:
        check()
        job.done, job.total, job.stage = done, total, stage

    return personalize(
        base,
        [SeenShot(_shot(photo, steps), photo.proposals) for photo, steps in drawn],
        concept=concept,
        class_name=class_name,
        progress=progress,
        on_loss=job.losses.append,
        negative_mask=True,  # the page shows it
    )


def describe_concept(key: str, concept: Concept) -> dict[str, Any]:
    return {
        "concept": key,
        "name": concept.name,
        "class_name": concept.class_name,
        "shots": [
            {"name": s.name, "iou": s.iou, "leave_one_out": s.leave_one_out, "outlier": s.outlier}
            for s in concept.report.shots
        ],
        "losses": dict(concept.report.losses),
    }


def find(base: Base, photo: Photo, words: str, concepts: Sequence[Concept]) -> dict[str, Any]:
    """The labels of a photo's preview, run-length coded, and what there is to say of every word."""
    image = np.asarray(Image.open(io.BytesIO(photo.preview)).convert("RGB"))
    finder = _finder(base, words, concepts)
    found = _named(finder.find(Seen(image, photo.proposals, base.fingerprint)), words)
    values, lengths = label_runs(found.labels)
    composed = finder.compositions
    return {
        "size": list(found.labels.shape),
        "values": values,
        "lengths": lengths,
        "words": [
            {
                "word": word,
                "colour": colour,
                "concept": word in found.concepts,
                "background": word in BACKGROUND_WORDS,
                "present": found.present(word),
                "score": found.score(word),
                "area": found.area(word),
                "composed": f"{composed[word].plain} ({way_of(base)})" if word in composed else None,
            }
            for word, colour in zip(found.words, word_colours(found.words, found.concepts), strict=True)
        ],
    }


def negative_mask(photo: Photo, concept: Concept) -> bytes:
    """A grey PNG on the proposals' grid: where the negative mask says that the thing is not (eq. 4)."""
    height, width = photo.proposals.canvas.original
    canvas, grid = photo.proposals.canvas, photo.proposals.masks.shape[1:]
    masks = photo.proposals.masks
    weight = concept.head.to(masks.device).negative_mask(masks).sigmoid().cpu()
    # The grid covers the padded canvas, the photo only a part of it.
    rows, columns = (max(1, round(g * r / p)) for g, r, p in zip(grid, canvas.resized, canvas.padded, strict=True))
    grey = Image.fromarray((weight[:rows, :columns] * 255).round().byte().numpy())
    scale = PREVIEW_SIDE / max(height, width, PREVIEW_SIDE)
    return _encoded(grey.resize((max(1, round(width * scale)), max(1, round(height * scale)))), "PNG")


def true_mask(photo: Photo, steps: Sequence[Outline | Stroke]) -> bytes:
    """A PNG of 0 and 255, as large as the photo. Raises MaskError if nothing is marked."""
    return _encoded(Image.fromarray(draw(steps, photo.proposals, photo.name)).convert("L"), "PNG")


def shots_zip(drawn: Sequence[Drawn]) -> bytes:
    """Photos and masks in the two folders from which the command line learns."""
    files = {}
    for number, (photo, steps) in enumerate(drawn, 1):
        suffix = (Image.open(io.BytesIO(photo.data)).format or "jpg").lower()
        files[f"images/{number}.{suffix}"] = photo.data
        files[f"masks/{number}.png"] = true_mask(photo, steps)
    return zipped(files)


def result_zip(base: Base, photo: Photo, words: str, concepts: Sequence[Concept]) -> bytes:
    """What `ovss-personal segment` writes of one photo, at its own size, and the same as COCO."""
    finder = _finder(base, words, concepts)
    image = _decode(photo.name, photo.data)
    found = _named(finder.find(Seen(image, photo.proposals, base.fingerprint)), words)
    check()
    files = {
        "labels.png": index_png(found.labels),
        "overlay.png": _encoded(found.overlay(), "PNG"),
        "coco.json": json.dumps(_coco(photo.name, found), ensure_ascii=False, indent=1).encode(),
    }
    for number, concept in enumerate(found.concepts, 1):
        check()
        mask = Image.fromarray(found.mask(concept)).convert("L")
        files[f"mask_{number}_{safe_name(concept)}.png"] = _encoded(mask, "PNG")
    return zipped(files)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            check()
            archive.writestr(name, data)
    return buffer.getvalue()


def _finder(base: Base, text: str, concepts: Sequence[Concept]) -> Finder:
    """Words and concepts made ready; a few words at a time, so that it can be stopped."""
    words = _words(text, concepts)
    composed = compositions_in(words, concepts)
    known = (*(word for word in words if word not in composed), *(word for one in concepts for word in one.words))
    unlike = tuple(dict.fromkeys(known))
    for start in range(0, len(unlike), WORDS_AT_ONCE):
        check()
        base.encode(unlike[start : start + WORDS_AT_ONCE])
    check()
    return Finder(base, words, concepts)


def _words(text: str, concepts: Sequence[Concept]) -> tuple[str, ...]:
    """The words the user typed, or named; none are the classes of the concepts. Never a file, unlike `--words`."""
    if text.strip() in NAMED:
        return named_words(text.strip())
    if not text.strip():
        names = {concept.name for concept in concepts}
        return tuple(dict.fromkeys(c.class_name for c in concepts if c.class_name not in names))
    typed = text.split(",")
    if len(typed) > MAX_WORDS:
        raise VocabularyError(
            f"there are {len(typed)} words, and {MAX_WORDS} at most fit here.", hint="Leave some out."
        )
    return check_words(typed)


def _named(found: Segmentation, text: str) -> Segmentation:
    """What was found; if the user typed no words, nothing but the concepts is named, and the rest is background."""
    if text.strip() or BACKGROUND in found.concepts:
        return found
    labels = np.zeros_like(found.labels)
    numbers = [found.words.index(concept) for concept in found.concepts]
    for label, number in enumerate(numbers, 1):
        labels[found.labels == number] = label
    rest = max(score for number, score in enumerate(found.scores) if number not in numbers)
    scores = (rest, *(found.scores[number] for number in numbers))
    return replace(found, labels=labels, words=(BACKGROUND, *found.concepts), scores=scores)


def _coco(name: str, found: Segmentation) -> dict[str, Any]:
    height, width = found.labels.shape
    numbers = {word: number for number, word in enumerate(found.words, 1)}
    return {
        "images": [{"id": 1, "file_name": name, "height": height, "width": width}],
        "categories": [{"id": number, "name": word} for word, number in numbers.items()],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": numbers[word["category"]], "iscrowd": 0, **word}
            for i, word in enumerate(found.to_coco(), 1)
        ],
    }


def _shot(photo: Photo, steps: Sequence[Outline | Stroke]) -> Shot:
    mask = draw(steps, photo.proposals, photo.name)
    return Shot(image=_decode(photo.name, photo.data), mask=mask, name=photo.name, sha256=photo.sha256)


def _decode(name: str, data: bytes) -> RGBImage:
    picture = decode(name, max_pixels=MAX_PIXELS, stream=io.BytesIO(data))
    return to_rgb(picture, path=name, max_pixels=MAX_PIXELS)


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
