"""Files from a browser: names that are told back and are never paths, and concepts in zips and folders."""

from __future__ import annotations

import base64
import binascii
import io
import json
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.errors import ConceptError
from ovss_personal.store.concept import Concept
from ovss_personal.store.concept_files import CARD_FILE, CONFIG_FILE, MODEL_FILE
from ovss_personal.web.answers import RequestError

if TYPE_CHECKING:
    from ovss_personal.bases.base import Base

MAX_PHOTO_BYTES = 40 * 2**20
MAX_CONCEPT_BYTES = 32 * 2**20
MAX_ZIP_ENTRIES = 50
MAX_WORDS = 500  # that a concept was fitted against; they are encoded anew where it is used
NAME_LENGTH = 120


def shown_name(name: str) -> str:
    """A file's name as it is told back: the last part of it, on one line, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:NAME_LENGTH] or "photo"


def concept_from_zip(base: Base, data: bytes) -> Concept:
    """A concept's folder in a zip, or its files alone.

    Raises:
        ConceptError: it is no zip, has odd or too many or too large entries, or holds no concept of this base.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ZIP_ENTRIES or sum(e.file_size for e in entries) > MAX_CONCEPT_BYTES:
                raise ConceptError("the zip is larger than any concept.")
            odd = [e.filename for e in entries if e.filename.startswith("/") or ".." in e.filename.split("/")]
            if odd:
                raise ConceptError("the zip names files outside itself.")
            files = {}
            for entry in entries:
                name = entry.filename.rpartition("/")[2]
                if name in (CONFIG_FILE, MODEL_FILE):
                    if name in files:
                        raise ConceptError(f"the zip holds more than one {name}.", hint="Load one concept at a time.")
                    with archive.open(entry) as stream:  # its header may lie about its size
                        files[name] = stream.read(MAX_CONCEPT_BYTES)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ConceptError(f"this is no zip that can be read ({error}).") from error
    return _concept(base, files)


def concept_from_json(base: Base, data: bytes) -> Concept:
    """A concept from a JSON object of its files in base64, as the page sends a folder.

    Raises:
        RequestError: it is anything else.
        ConceptError: as `concept_from_zip`.
    """
    files = _text_values(data)
    try:
        decoded = {name: base64.b64decode(files[name], validate=True) for name in (CONFIG_FILE, MODEL_FILE)}
    except KeyError as error:
        raise ConceptError(f"there is no {error.args[0]} in this folder, so it is not a concept's.") from None
    except (binascii.Error, ValueError) as error:
        raise ConceptError(f"the files are not base64 ({error}).") from error
    return _concept(base, decoded)


def _text_values(data: bytes) -> dict[str, str]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"this is no JSON ({type(error).__name__}).") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise RequestError("expected a JSON object of texts.")
    return values


def concept_files(concept: Concept) -> dict[str, bytes]:
    """The files of a concept's folder."""
    with tempfile.TemporaryDirectory() as work:
        folder = concept.save_pretrained(Path(work) / "concept")
        return {name: (folder / name).read_bytes() for name in (CONFIG_FILE, MODEL_FILE, CARD_FILE)}


def _concept(base: Base, files: dict[str, bytes]) -> Concept:
    with tempfile.TemporaryDirectory() as work:
        for name, data in files.items():
            (Path(work) / name).write_bytes(data)
        try:
            concept = Concept.from_pretrained(work)
        except ConceptError as error:  # which names the temporary folder
            raise ConceptError(error.message, hint=error.hint) from error
    concept.check_base(base.name, base.fingerprint)
    try:
        numbers = [concept.report.losses, [(shot.iou, shot.leave_one_out) for shot in concept.report.shots]]
        json.dumps(numbers, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:  # which the page could not be told
        raise ConceptError("its report holds numbers that are not finite, or names that are no text.") from error
    if len(concept.words) > MAX_WORDS:
        raise ConceptError(f"the concept was fitted against more than {MAX_WORDS} words.")
    return concept
