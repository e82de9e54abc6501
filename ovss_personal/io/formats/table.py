"""The one table of annotation files: which tool wrote a file, told by what it holds, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

from ovss_personal.errors import MaskError
from ovss_personal.io.annotations import read_any_json, read_text
from ovss_personal.io.formats.class_pictures import is_label_map, read_label_map
from ovss_personal.io.formats.cvat import is_cvat_images, is_cvat_video, read_cvat, read_xml
from ovss_personal.io.formats.label_studio import is_json, is_json_min, read_json_export, read_json_min
from ovss_personal.io.formats.marks import MarkedPhoto
from ovss_personal.io.formats.sam import is_mask_list, is_sa1b, read_mask_list, read_sa1b
from ovss_personal.io.formats.supervisely import is_supervisely, read_supervisely
from ovss_personal.io.formats.via import is_via, read_via
from ovss_personal.io.formats.yolo import is_yolo, read_yolo

__all__ = ["ANNOTATION_SUFFIXES", "COCO", "FORMATS", "LABELME", "AnnotationFile", "Format", "look_at"]

ANNOTATION_SUFFIXES = {".csv", ".json", ".jsonl", ".ndjson", ".txt", ".xml"}
Kind = Literal["json", "jsonl", "xml", "txt", "csv"]


@dataclass(frozen=True)
class Format:
    """One way in which a tool writes what was marked.

    Attributes:
        name: the tool's export, as the tool calls it.
        kind: of file.
        sees: whether what a file holds is this.
        covers: "all" if one file speaks of all photos, "one" if it speaks of the photo of its own name.
        read: content and path -> photos; None where `io.coco` and `io.labelme` read, or nothing does.
        instead: what to export instead, where nothing reads it.
    """

    name: str
    kind: Kind
    sees: Callable[[Any], bool]
    covers: Literal["all", "one"] = "all"
    read: Callable[[Any, Path], list[MarkedPhoto]] | None = None
    instead: str | None = None


@dataclass(frozen=True)
class AnnotationFile:
    """A file of a known format, parsed.

    Attributes:
        root: the folder that the user named.
    """

    path: Path
    format: Format
    content: Any
    root: Path

    @property
    def readable(self) -> bool:
        """Whether `photos` reads it, if it is not broken."""
        return self.format.read is not None or self.format.sees is is_yolo

    def photos(self) -> list[MarkedPhoto]:
        """What it marks. Raises MaskError if it is not read, or broken."""
        if self.format.sees is is_yolo:
            return read_yolo(self.content, self.path, self.root)
        if self.format.read is None:
            raise MaskError(f"this is {self.format.name}, which is not read.", path=self.path, hint=self.format.instead)
        return self.format.read(self.content, self.path)


def look_at(path: Path, root: Path) -> AnnotationFile | None:
    """The file, if it is of a format in the table.

    Raises:
        MaskError: a JSON or XML file that is broken.
    """
    kind = path.suffix.lower().removeprefix(".")
    kind = "jsonl" if kind == "ndjson" else kind
    content: Any
    if kind == "json":
        content = read_any_json(path)
    elif kind == "xml":
        content = read_xml(path)
    elif path.suffix.lower() in ANNOTATION_SUFFIXES:
        try:
            content = read_text(path) if path.stat().st_size else ""  # empty: YOLO's for a photo without objects
        except MaskError:  # anything may be called .txt
            return None
    else:
        return None
    found = next((one for one in FORMATS if one.kind == kind and one.sees(content)), None)
    return None if found is None else AnnotationFile(path, found, content, root)


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, dict) and all(key in content for key in keys)


def _list_has(*keys: str) -> Callable[[Any], bool]:
    """A list whose first entry is an object with these keys."""
    return lambda content: isinstance(content, list) and bool(content) and _has(*keys)(content[0])


def _is_voc(root: Element) -> bool:
    return root.tag == "annotation"


def _is_labelme_xml(root: Element) -> bool:
    return _is_voc(root) and (root.find("object/polygon") is not None or root.find("object/segm") is not None)


def _first_line_has(*words: str) -> Callable[[Any], bool]:
    return lambda text: all(word in text.partition("\n")[0] for word in words)


COCO = Format("COCO", "json", _has("images"))
LABELME = Format("LabelMe", "json", _has("shapes"), "one")

_AS_COCO = "Export it as COCO with segmentation."

# What is more special stands first: several are JSON with "images", as COCO is.
FORMATS: tuple[Format, ...] = (
    LABELME,
    Format("VIA 3's project", "json", _has("project", "metadata", "view"), instead="In VIA 3, export as COCO."),
    Format("VIA", "json", is_via, read=read_via),
    Format("Hasty's JSON", "json", _has("images", "label_classes"), instead="In Hasty, export as COCO."),
    Format("Segments.ai's release", "json", _has("dataset", "samples"), instead=_AS_COCO),
    COCO,
    Format("SA-1B's JSON", "json", is_sa1b, "one", read_sa1b),
    Format("a list of SAM's masks", "json", is_mask_list, "one", read_mask_list),
    Format("Supervisely's JSON", "json", is_supervisely, "one", read_supervisely),
    Format("Label Studio's JSON", "json", is_json, read=read_json_export),
    Format("Label Studio's JSON-MIN", "json", is_json_min, read=read_json_min),
    Format("Datumaro's JSON", "json", _has("items", "categories"), instead="In CVAT, export COCO 1.0 or CVAT 1.1."),
    Format("VoTT's JSON", "json", _has("assets"), instead="VoTT's boxes and polygons are not read; use another tool."),
    Format("V7 Darwin's JSON", "json", _has("item", "annotations"), "one", instead="In V7, export as COCO."),
    Format("Labelbox's JSON", "json", _list_has("data_row"), instead=_AS_COCO),
    Format("Encord's JSON", "json", _list_has("data_units"), instead="In Encord, export as COCO."),
    Format("Scale's JSON", "json", _list_has("task_id", "response"), instead=_AS_COCO),
    Format("CreateML's JSON of boxes", "json", _list_has("image", "annotations"), instead=_AS_COCO),
    Format("GeoJSON", "json", _has("type", "features"), "one", instead="Export masks as PNG."),
    Format("CVAT for images 1.1", "xml", is_cvat_images, read=read_cvat),
    Format("CVAT for video 1.1", "xml", is_cvat_video, instead="In CVAT, export CVAT for images 1.1 or COCO 1.0."),
    Format("LabelMe's XML", "xml", _is_labelme_xml, "one", instead="In CVAT, export CVAT for images 1.1 or COCO 1.0."),
    Format("Pascal VOC's XML of boxes", "xml", _is_voc, "one", instead="Export Segmentation mask 1.1, or COCO."),
    Format("CVAT's Segmentation mask 1.1", "txt", is_label_map, read=read_label_map),
    Format("YOLO", "txt", is_yolo, "one"),
    Format("VIA's CSV", "csv", _first_line_has("filename", "shape_attributes"), instead="In VIA, export JSON or COCO."),
    Format("a CSV of boxes", "csv", _first_line_has("xmin", "ymin"), instead=_AS_COCO),
    Format("Labelbox's lines of JSON", "jsonl", _first_line_has('"data_row"'), instead=_AS_COCO),
)
