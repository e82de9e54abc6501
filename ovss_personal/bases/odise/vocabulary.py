"""Which words ODISE was trained on: CLIP has less of a say in those than in words that are new to it.

The published model compares a word with 254 prompt-engineered synonyms of the COCO panoptic classes. That list is
not ours to ship. Here a word is seen if it is one of the 133 classes' plain names, or in a list of the user's own;
"kitten", a synonym there, is unseen here, and CLIP weighs more in its score.
"""

from __future__ import annotations

import re
from pathlib import Path

from ovss_personal.errors import WeightsError

COCO = Path(__file__).parent / "coco_panoptic.txt"


def plain(word: str) -> str:
    """The word without what data sets append to it: `sky-other-merged` is `sky`."""
    return re.sub(r"(-(other|stuff|merged))+$", "", word)


def seen_words(own: Path | None = None) -> frozenset[str]:
    """The plain names of the training's classes, and the lines of the user's `own` file.

    Raises:
        WeightsError: the file cannot be read.
    """
    names = COCO.read_text("utf-8").split("\n")
    if own is not None:
        try:
            names += own.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"cannot be read ({error}).", path=own) from error
    return frozenset(plain(name.strip()) for name in names if name.strip())
