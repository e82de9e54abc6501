"""What `segment` found in a photo, as the writers of other tools' formats need it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovss_personal.errors import OutputError
from ovss_personal.io.annotations import decompress_counts, fill_runs
from ovss_personal.painting.overlay import BACKGROUND_WORDS
from ovss_personal.structures import BoolMask

__all__ = ["FoundPhoto", "FoundWord", "found_photos", "shared_names"]


@dataclass(frozen=True)
class FoundWord:
    """A word that at least one pixel of a photo has.

    Attributes:
        word: the word or concept.
        present: whether there is enough of it to count as found.
        score: the largest share that it has of any pixel, in [0, 1].
        segmentation: its pixels in COCO's compressed run lengths, {"size": [H, W], "counts": text}.
    """

    word: str
    present: bool
    score: float
    segmentation: Mapping[str, Any]

    def mask(self) -> BoolMask:
        """(H, W) bool."""
        height, width = self.segmentation["size"]
        return fill_runs(decompress_counts(self.segmentation["counts"]) or [], (height, width))


@dataclass(frozen=True)
class FoundPhoto:
    """One photo.

    Attributes:
        source: the file.
        name: its path from the folder that all photos share, e.g. `1.jpg` or `trip/1.jpg`.
        size: (H, W).
        words: those that have a pixel; not the background, which is no thing.
    """

    source: Path
    name: str
    size: tuple[int, int]
    words: tuple[FoundWord, ...]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.removesuffix(Path(self.name).suffix)

    def present(self) -> list[FoundWord]:
        """The words of which there is enough."""
        return [word for word in self.words if word.present]


def found_photos(rows: Sequence[Mapping[str, Any]]) -> tuple[list[FoundPhoto], list[str]]:
    """The photos, and all words but the background in the user's order, of the `photos` of a result.json.

    Raises:
        OutputError: as `shared_names`.
    """
    sources = [Path(os.path.abspath(row["photo"])) for row in rows]
    photos = [
        FoundPhoto(source, name, (row["size"]["height"], row["size"]["width"]), tuple(_words(row["words"])))
        for source, name, row in zip(sources, shared_names(sources), rows, strict=True)
    ]
    words = [entry["word"] for entry in rows[0]["words"]] if rows else []
    return photos, [word for word in words if word not in BACKGROUND_WORDS]


def shared_names(sources: Sequence[Path]) -> list[str]:
    """The paths of photos from the folder that all share. Raises OutputError if they are on different drives."""
    absolute = [Path(os.path.abspath(source)) for source in sources]
    try:
        shared = os.path.commonpath([source.parent for source in absolute]) if absolute else ""
    except ValueError as error:
        raise OutputError(
            "the photos are on different drives.", hint="Segment those of each drive by themselves."
        ) from error
    return [source.relative_to(shared).as_posix() for source in absolute]


def _words(entries: Sequence[Mapping[str, Any]]) -> list[FoundWord]:
    return [
        FoundWord(entry["word"], entry["present"], entry["score"], entry["segmentation"])
        for entry in entries
        if entry["segmentation"] is not None and entry["word"] not in BACKGROUND_WORDS
    ]
