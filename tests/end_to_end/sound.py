"""A folder in which every command succeeds, and the means to spoil one thing in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from corpus import (
    PHOTO,
    write_array,
    write_coco,
    write_labelme,
    write_mask,
    write_photo,
)

PERSONALIZE = "personalize --concept 'my mug' --images album --out learned --iterations 1"
SEGMENT = "segment photo.png --concept mug --out out --no-cache"
MODEL, CONFIG = Path("mug/adapter_model.safetensors"), Path("mug/adapter_config.json")


class Bad(NamedTuple):
    """One bad input.

    Attributes:
        what: a few words on it.
        make: spoils the sound folder, which is the working one.
        command: what the user types after `ovss-personal`.
        code: the exit code.
        says: the fact that the error names, beside the file where there is one.
    """

    what: str
    make: Callable[[], object]
    command: str
    code: int
    says: str


def make_sound_folder() -> None:
    """`album/` of three shots and `photo.png`; a concept learned from them belongs into `mug/`."""
    for number in (1, 2, 3):
        write_photo(Path(f"album/images/{number}.png"), np.roll(PHOTO, number, axis=2))
        write_mask(Path(f"album/masks/{number}.png"))
    write_photo(Path("photo.png"))


def mask_of_array(values: Any, suffix: str = ".png") -> Callable[[], object]:
    return lambda: (Path("album/masks/1.png").unlink(), write_array(Path(f"album/masks/1{suffix}"), values))


def mask_of_labelme(*shapes: dict[str, Any]) -> Callable[[], object]:
    return lambda: (Path("album/masks/1.png").unlink(), write_labelme(Path("album/masks/1.json"), *shapes))


def coco(*annotations: dict[str, Any], **changes: Any) -> Callable[[], object]:
    """`coco/coco.json` beside the photo `coco/1.jpg`."""
    return lambda: (write_photo(Path("coco/1.jpg")), write_coco(Path("coco/coco.json"), *annotations, **changes))


def config(**changes: Any) -> Callable[[], object]:
    """The concept's JSON with other values; None leaves a key out."""

    def make() -> None:
        content = {**json.loads(CONFIG.read_text()), **changes}
        CONFIG.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return make


def tensors(**changes: Any) -> Callable[[], object]:
    """The concept's tensors with others added or put in their place; None leaves one out."""

    def make() -> None:
        from safetensors.numpy import load_file, save_file

        content = {**load_file(MODEL), **changes}
        save_file({name: value for name, value in content.items() if value is not None}, MODEL)

    return make


def write(path: str, text: str) -> Callable[[], object]:
    return lambda: Path(path).write_text(text)


def nothing() -> None:
    """What is bad is the command."""


class Odd(NamedTuple):
    """An input that is used all the same, with a warning."""

    what: str
    make: Callable[[], object]
    command: str
    says: str
