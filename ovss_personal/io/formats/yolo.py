"""YOLO segmentation: one text file a photo, a line a polygon, in shares of the photo; class names in `data.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import read_text
from ovss_personal.io.formats.marks import Draw, Mark, MarkedPhoto, draw_polygon, draw_problem, text_of

__all__ = ["class_names", "is_yolo", "read_yolo"]

_HINT = "Export YOLO segmentation (CVAT: Ultralytics YOLO Segmentation 1.0), or COCO."
_BOX = 5  # class, x and y of the centre, width, height
_NAME_FILES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")


def is_yolo(text: str) -> bool:
    """Whether every line is a class id and four or more numbers; of captions and notes none is."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return all(
        len(line) >= _BOX and line[0].isdecimal() and len(line[0]) < 10 and None not in map(_number, line)
        for line in lines
    )


def read_yolo(text: str, path: Path, root: Path) -> list[MarkedPhoto]:
    """The polygons of one photo; those of one class are one category, by its name where there is a list of names.

    Args:
        text: what `is_yolo` accepted.
        path: the file.
        root: the folder that the user named; lists of names are looked for between it and the file.

    Raises:
        MaskError: a broken list of names, or one that lacks a class.
    """
    names = class_names(path, root)
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            words = line.split()
            marks.append(Mark(_name(int(words[0]), names, path), _polygon(words[1:], path, f"line {number}")))
    return [MarkedPhoto(path, path.name, None, tuple(marks))]


def class_names(path: Path, root: Path) -> dict[int, str] | None:
    """The names of classes by their ids, from `data.yaml` or `classes.txt`; None where neither is near.

    Args:
        path: a file of labels.
        root: the last folder, on the way up from it, that may hold the list.

    Raises:
        MaskError: the list is broken.
    """
    folders = [folder for folder in path.parents if folder == root or root in folder.parents]
    if root.name.casefold() in {"train", "valid", "val", "test", "labels"}:
        folders.append(root.parent)  # the split was named, the list is beside it
    for folder in folders:
        for name in _NAME_FILES:
            if (folder / name).is_file():
                return _names(folder / name)
    return None


def _names(path: Path) -> dict[int, str]:
    text = read_text(path)
    if path.suffix in (".txt", ".names"):
        listed: Any = [line.strip() for line in text.splitlines() if line.strip()]
    else:
        listed = _yaml(text, path)
    pairs = listed.items() if isinstance(listed, dict) else enumerate(listed) if isinstance(listed, list) else []
    names = {number: text_of(name) for number, name in pairs}
    if not names or not all(type(number) is int and name for number, name in names.items()):
        raise MaskError("expected the names of the classes under 'names'.", path=path, hint="Export it again.")
    return {number: str(name) for number, name in names.items()}


def _yaml(text: str, path: Path) -> Any:
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise MaskError(f"this is not valid YAML: {reason:.200}.", path=path, hint="Export it again.") from error
    return content.get("names") if isinstance(content, dict) else None


def _name(number: int, names: dict[int, str] | None, path: Path) -> str:
    if names is None:
        return str(number)
    if number not in names:
        raise MaskError(
            f"class {number} has no name in data.yaml or classes.txt, which has {len(names)}.",
            path=path,
            hint="Export labels and names together again.",
        )
    return names[number]


def _polygon(words: list[str], path: Path, what: str) -> Draw:
    values = [_number(word) for word in words]
    if len(values) == _BOX - 1:
        return draw_problem(f"{what} is a box (class x y width height), no mask.", path, _HINT)
    if len(values) % 2:
        return draw_problem(
            f"{what} has {len(values)} numbers after the class, but each point has two.",
            path,
            "If the last is a confidence, save without it (save_conf=False).",
        )
    points = [list(pair) for pair in zip(values[::2], values[1::2], strict=True)]
    return draw_polygon(points, path, what, share=1.0)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
