"""Exports of annotation tools, and zips, that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import MASK, write_photo
from corpus.exports import cvat_xml, ls_region, ls_task, sa1b, write_text
from end_to_end.sound import PERSONALIZE, Bad


def export(name: str, content: Any) -> Callable[[], object]:
    """A photo with one file beside it."""
    return lambda: (write_photo(Path("export/1.png")), write_text(Path("export") / name, content))


BOX = "0 0.5 0.5 0.2 0.2"
BRUSH = [ls_task(ls_region(rle=[0, 1, 2]), image="1.png")]
RUNS = '<mask label="mug" rle="1, 2" left="0" top="0" width="9" height="9"></mask>'
DATUMARO = {"items": [], "categories": {}}
NO_SIZE = {"objects": [], "size": {"height": 0, "width": 9}}

ROWS = [
    ("YOLO of boxes", "1.txt", BOX, "1.txt: line 1 is a box (class x y width height), no mask"),
    ("Label Studio, broken brush", "a.json", BRUSH, "a.json: task 1, region 1: the brush cannot be read"),
    ("CVAT, wrong run lengths", "a.xml", cvat_xml(RUNS, name="1.png"), "mask 1 of 1.png: the run lengths add up to 3"),
    ("CVAT, broken XML", "a.xml", "<annotations>", "a.xml: this is not valid XML"),
    ("SA-1B of several masks", "1.json", sa1b(MASK, MASK), "expected one category, found 5, 6"),
    ("Supervisely, no size", "1.json", NO_SIZE, "1.json: the height and width of a photo are 0 and 9"),
    ("Datumaro", "a.json", DATUMARO, "a.json: this is Datumaro's JSON, which is not read"),
    ("a zip that is none", "a.zip", "PK", "a.zip: this is no zip that can be read"),
]

BAD_EXPORTS = [
    Bad(
        what,
        export(name, content),
        PERSONALIZE.replace("album", "export/a.zip" if name == "a.zip" else "export"),
        3,
        says,
    )
    for what, name, content, says in ROWS
]
