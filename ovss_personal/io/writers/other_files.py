"""YOLO's text files, CVAT's XML, and pictures of classes with a palette and a list of names."""

from __future__ import annotations

import io
from itertools import chain, groupby
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from PIL import Image

from ovss_personal.io.writers.contours import bridged, pieces_of
from ovss_personal.io.writers.found import FoundPhoto
from ovss_personal.structures import BoolMask

__all__ = ["cvat_files", "png_files", "voc_colour", "yolo_files"]

_PALETTE = 256  # colours of a PNG; one is the background


def yolo_files(photos: list[FoundPhoto], words: list[str], folder: Path) -> dict[str, bytes]:
    """`data.yaml` and, for each photo, `labels/NAME.txt` with a polygon for each piece.

    A hole is joined to the outline by a cut of no width, as YOLO's polygons cannot have any.

    Args:
        photos: what was found.
        words: all words; their places, from 0, are the classes.
        folder: where the files will be.
    """
    import yaml

    classes = {word: number for number, word in enumerate(words)}
    data = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(words))}
    files = {"data.yaml": yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode()}
    for photo in photos:
        lines = []
        for found in photo.present():
            for piece in pieces_of(found.mask()):
                shares = bridged(piece) / [photo.size[1], photo.size[0]]
                numbers = " ".join(f"{share:.7g}" for share in shares.ravel().tolist())
                lines.append(f"{classes[found.word]} {numbers}\n")
        files[f"labels/{photo.stem}.txt"] = "".join(lines).encode()
    return files


def cvat_files(photos: list[FoundPhoto], words: list[str], folder: Path) -> dict[str, bytes]:
    """`annotations.xml` of "CVAT for images 1.1", with a mask for each word, exact and with its holes.

    Args:
        photos, words, folder: as in `yolo_files`.
    """
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for word in words:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = _xml_text(word)
    for number, photo in enumerate(photos):
        size = {"width": str(photo.size[1]), "height": str(photo.size[0])}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": _xml_text(photo.name), **size})
        for found in photo.present():
            label = {"label": _xml_text(found.word), "source": "auto", "occluded": "0"}
            ElementTree.SubElement(image, "mask", {**label, **_runs(found.mask()), "z_order": "0"})
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return {"annotations.xml": f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()}


def png_files(photos: list[FoundPhoto], words: list[str], folder: Path) -> dict[str, bytes]:
    """CVAT's "Segmentation mask 1.1": `SegmentationClass/NAME.png`, and the names of its colours in `labelmap.txt`.

    Every pixel of every word is painted. Up to 255 words the pictures have a palette, and a word's index is its place
    in the list; beyond that they are RGB.

    Args:
        photos, words, folder: as in `yolo_files`.
    """
    places = {word: number for number, word in enumerate(words, 1)}
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for word, place in places.items():
        lines.append(f"{_map_text(word)}:{','.join(map(str, voc_colour(place)))}::")
    files = {
        "labelmap.txt": "".join(f"{line}\n" for line in lines).encode(),
        "ImageSets/Segmentation/default.txt": "".join(f"{photo.stem}\n" for photo in photos).encode(errors="replace"),
    }
    for photo in photos:
        labels = np.zeros(photo.size, dtype=np.int32)
        for found in photo.words:
            labels[found.mask()] = places[found.word]
        files[f"SegmentationClass/{photo.stem}.png"] = _picture(labels, len(words))
    return files


def voc_colour(place: int) -> tuple[int, int, int]:
    """The colour of a label as Pascal VOC's palette has it: its bits spread over red, green and blue, the lowest first.

    >>> voc_colour(1), voc_colour(3)
    ((128, 0, 0), (128, 128, 0))
    """
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (place >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def _picture(labels: npt.NDArray[np.int32], count: int) -> bytes:
    if count < _PALETTE:
        picture = Image.fromarray(labels.astype(np.uint8))
        picture.putpalette(list(chain.from_iterable(map(voc_colour, range(_PALETTE)))))
    else:
        table = np.array([voc_colour(place) for place in range(count + 1)], dtype=np.uint8)
        picture = Image.fromarray(table[labels])
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _runs(mask: BoolMask) -> dict[str, str]:
    """The box of a mask and, within it, the lengths of runs along the rows, background first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    counts = [] if not box.flat[0] else [0]
    counts += [len(list(group)) for _, group in groupby(box.ravel().tolist())]
    return {
        "rle": ", ".join(map(str, counts)),
        "left": str(columns[0]),
        "top": str(rows[0]),
        "width": str(box.shape[1]),
        "height": str(box.shape[0]),
    }


def _map_text(word: str) -> str:
    """A word as `labelmap.txt` can hold it: on one line, without a colon, and no comment."""
    return " ".join(word.replace(":", " ").split()).lstrip("#") or "label"


def _xml_text(text: str) -> str:
    """Text without what XML cannot hold: control characters, and bytes of file names that are no text."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c < "\ufffe") else "?" for c in text
    )
