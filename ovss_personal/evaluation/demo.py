"""The demo: learn from an album that comes with the program, and segment the photos that were kept back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovss_personal.bases import load_base
from ovss_personal.engine.find import Finder
from ovss_personal.engine.learn import personalize
from ovss_personal.engine.see import see
from ovss_personal.errors import UsageError, counted
from ovss_personal.evaluation.metrics import PersonalCounts
from ovss_personal.io.demo import demo_album, demo_albums
from ovss_personal.io.shots import load_shots
from ovss_personal.painting.segmentation import Segmentation
from ovss_personal.store.cache import ProposalCache
from ovss_personal.store.files import atomic_write


@dataclass(frozen=True)
class AlbumResult:
    """One album: IoU of the personal object over its test photos, text only and personalised, and false alarms.

    `false_alarms` counts the photos without the object in which more than 1 % of the pixels were called it.
    """

    album: str
    concept: str
    photos: int
    without: int
    iou_before: float
    iou_after: float
    false_alarms: int
    folder: str


def run_demo(
    album: str,
    out: Path,
    base: str = "embedded",
    note: Callable[[str], None] = lambda text: None,
    cache: ProposalCache | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[AlbumResult]:
    """Personalise on an album's five shots, segment its test photos, and write overlays before and after.

    Args:
        album: a name of `demo_albums`, or "all".
        out: pictures go to `out/<album>/NN.before.png` and `NN.after.png`, the concept to `out/<album>/concept`.
        base: a base that can pass tiles does so on an album of small things (`tiles` in albums.json).
        note: called with a line about what is being done.
        options: of `load_base`.

    Raises:
        UsageError: there is no such album.
    """
    names = demo_albums() if album == "all" else (album,)
    if not set(names) <= set(demo_albums()):
        raise UsageError(f"there is no demo album '{album}'.", hint=f"the albums are: all, {', '.join(demo_albums())}.")
    results = []
    for name in names:
        folder = demo_album(name).parent
        told = json.loads((folder.parent / "albums.json").read_text("utf-8"))[name]
        segmenter = load_base(base, **{"tiles": told["tiles"] or None, **(options or {})})
        note(f"{name}: learning '{told['concept']}' from {counted(told['shots'], 'photo')}")
        shots = load_shots(folder / "shots", count=told["shots"])
        concept = personalize(segmenter, shots, concept=told["concept"], class_name=told["class_name"], cache=cache)
        concept.save_pretrained(out / name / "concept", overwrite=True)
        photos = sorted((folder / "test" / "images").glob("*.jpg"))
        note(f"{name}: segmenting {counted(len(photos), 'photo')} it has not seen")
        before, after = Finder(segmenter, told["words"]), Finder(segmenter, told["words"], [concept])
        counts = PersonalCounts(), PersonalCounts()
        for photo in photos:
            seen = see(segmenter, photo, cache)
            plain, personal = before.find(seen), after.find(seen)
            truth = np.asarray(Image.open(folder / "test" / "masks" / f"{photo.stem}.png").convert("L")) > 127
            for count, result, word in zip(
                counts, (plain, personal), (told["class_name"], told["concept"]), strict=True
            ):
                count.add(result.mask(word), truth)
            _write(out / name / f"{photo.stem}.before.png", plain)
            _write(out / name / f"{photo.stem}.after.png", personal)
        results.append(
            AlbumResult(
                album=name,
                concept=told["concept"],
                photos=len(photos),
                without=counts[1].negatives,
                iou_before=counts[0].iou,
                iou_after=counts[1].iou,
                false_alarms=counts[1].false_alarms,
                folder=str(out / name),
            )
        )
    return results


def _write(path: Path, result: Segmentation) -> None:
    stream = io.BytesIO()
    result.overlay().save(stream, "PNG")
    atomic_write(path, stream.getvalue())
