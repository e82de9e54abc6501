"""What `segment` did in a folder, kept photo by photo: a run that is cut off can go on, a later one knows what is ours.

result.json      all of it, written when a run is over
.result.jsonl    while it runs: a line that says of what run, then one a photo
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ovss_personal.errors import InputError, OutputError
from ovss_personal.io.files import sha256_file
from ovss_personal.store.files import atomic_write, write_errors
from ovss_personal.text import json_text, printable

__all__ = ["RESULT", "RunRecord", "check_folders", "check_targets", "photo_name", "photos_done"]

RESULT = "result.json"
_UNDER_WAY = ".result.jsonl"
_MOST_BYTES = 4 * 2**30  # of a result that is read again; more is none of ours


class RunRecord:
    """The photos of one run in a folder.

    Args:
        out: the folder of the pictures.
        run: what tells runs apart whose photos may not stand side by side: base, words, concepts.

    Attributes:
        done: of each photo what result.json says of it, of this run and of what it goes on from.
        failed: likewise; those of an earlier run are tried again.
    """

    def __init__(self, out: Path, run: str):
        self._out, self._run = out, run
        self.done: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self._begun = False

    def go_on(self, sources: Iterable[Path]) -> None:
        """Take over what an earlier run of the same kind did in the folder, and what is still there and still true.

        Args:
            sources: photos of this run; one that has other bytes than it had is to be done again.

        Raises:
            OutputError: what is there is of another run, or not of ours.
        """
        runs = earlier(self._out)
        if not runs and any_file(self._out):
            raise OutputError(
                "holds other files, and nothing of ours to go on from.", path=self._out, hint="Choose another --out."
            )
        if any(run != self._run for run, _ in runs):
            raise OutputError(
                "what is there was made by another base, or with other words or concepts.",
                path=self._out,
                hint="Give the same options, pass --overwrite to begin again, or choose another --out.",
            )
        kept = {entry["photo"]: entry for _, entries in runs for entry in entries if self._is_whole(entry)}
        for source in sources:
            entry = kept.get(photo_name(source))
            if entry is not None and _sha256(source) != entry.get("sha256"):
                del kept[entry["photo"]]
        self.done = list(kept.values())

    def clear(self) -> None:
        """Remove what earlier runs wrote, and nothing else: it would no longer be true of what is written now."""
        for name in sorted({name for _, entries in earlier(self._out) for name in files_of(entries)}):
            path = self._out / name
            if not path.is_symlink():
                with suppress(OSError):
                    path.unlink()
        self._forget()

    def add(self, entry: dict[str, Any]) -> None:
        """A photo is done. Raises OutputError or ResourceError if that cannot be written down."""
        self.done.append(entry)
        self._write(entry)

    def finish(self, facts: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
        """Write result.json; returns what is in it.

        Args:
            facts: of the whole run.
            order: of the photos, as the entries name them; those that it does not name come first.

        Raises:
            ResourceError, OutputError: it cannot be written.
        """
        place = {photo: number for number, photo in enumerate(order)}
        photos = sorted(self.done, key=lambda entry: place.get(entry["photo"], -1))
        result = {**facts, "run": self._run, "photos": photos, "failed": self.failed}
        text = json_text(result, indent=1)
        atomic_write(self._out / RESULT, text.encode(), through_links=False)
        with suppress(OSError):
            (self._out / _UNDER_WAY).unlink()
        return dict(json.loads(text))  # as who reads the file has it

    def _write(self, entry: dict[str, Any]) -> None:
        path = self._out / _UNDER_WAY
        lines = [entry] if self._begun else [{"run": self._run, "formats": _formats(self._out)}, *self.done]
        with write_errors(path):
            if self._begun:
                with open(path, "ab") as stream:
                    stream.write(b"".join(_line(line) for line in lines))
            else:
                atomic_write(path, b"".join(_line(line) for line in lines), through_links=False)
                with suppress(OSError):
                    (self._out / RESULT).unlink()  # it would no longer be true of the pictures beside it
        self._begun = True

    def _forget(self) -> None:
        for name in (RESULT, _UNDER_WAY):
            with suppress(OSError):
                (self._out / name).unlink()

    def _is_whole(self, entry: dict[str, Any]) -> bool:
        paths = [self._out / name for name in files_of([entry])]
        return bool(paths) and all(path.is_file() and not path.is_symlink() for path in paths)


def photos_done(out: Path) -> int:
    """How many photos the records in a folder tell of."""
    return len({entry["photo"] for _, entries in earlier(out) for entry in entries})


def check_targets(out: Path, targets: Iterable[Path], inputs: Sequence[Path]) -> None:
    """Raises OutputError unless every file that is about to be written is new, or one that a run of ours wrote.

    An input of the run is never overwritten, nor is anything through a link.
    """
    ours = {name for _, entries in earlier(out) for name in files_of(entries)}
    read = {os.path.realpath(path) for path in inputs}
    for path in targets:
        if not os.path.lexists(path):
            continue
        if os.path.realpath(path) in read:
            what = "is a photo of this run, and would be overwritten."
        elif path.is_symlink():
            what = "is a link, and nothing is written through it."
        elif path.name in ours or (path.name == RESULT and _of_result(path)):
            continue
        else:
            what = f"is there already, and no {RESULT} of ours says that we wrote it."
        raise OutputError(what, path=path, hint="Choose another --out, or move it away.")


def check_folders(out: Path, formats: Iterable[str]) -> None:
    """Raises OutputError where the folder of a format holds files, and no result.json of ours says that it wrote it."""
    ours = _formats(out)
    for name in formats:
        folder = out / name
        if os.path.lexists(folder) and (name not in ours or folder.is_symlink()):
            raise OutputError(
                f"is there already, and no {RESULT} of ours says that we wrote it.",
                path=folder,
                hint="Choose another --out, or move it away.",
            )


def any_file(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def earlier(out: Path) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each record of ours in the folder, which run it is of and what it says of photos; the newest last."""
    return [found for found in (_of_result(out / RESULT), _of_lines(out / _UNDER_WAY)) if found is not None]


def files_of(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The names of the files that entries tell of; none leads out of the folder, whatever they say."""
    for entry in entries:
        words = entry["words"] if isinstance(entry.get("words"), list) else []
        masks = [word.get("mask") for word in words if isinstance(word, dict)]
        more = entry["files"] if isinstance(entry.get("files"), list) else []
        for name in (entry.get("labels"), entry.get("overlay"), *masks, *more):
            if isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0"):
                yield name


def photo_name(source: Path) -> str:
    """How a photo is called in a record."""
    return printable(str(source))


def _of_result(path: Path) -> tuple[str, list[dict[str, Any]]] | None:
    result = _result(path)
    return None if result is None else (str(result.get("run")), _entries(result["photos"]))


def _result(path: Path) -> dict[str, Any] | None:
    text = _text(path)
    if text is None:
        return None
    try:
        result = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(result, dict) or not {"versions", "base", "photos"} <= result.keys():
        return None
    return result


def _formats(out: Path) -> list[str]:
    """The formats whose folders a run of ours wrote."""
    found = _result(out / RESULT)
    if found is None:
        first = (_text(out / _UNDER_WAY) or "").partition("\n")[0]
        try:
            found = json.loads(first)
        except (ValueError, RecursionError):
            return []
    formats = found.get("formats") if isinstance(found, dict) else None
    return [str(name) for name in formats] if isinstance(formats, list) else []


def _of_lines(path: Path) -> tuple[str, list[dict[str, Any]]] | None:
    text = _text(path)
    if text is None:
        return None
    found = []
    for line in text.split("\n"):
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):  # cut off by a kill
            break
    if not found or not isinstance(found[0], dict) or "run" not in found[0]:
        return None
    return str(found[0]["run"]), _entries(found[1:])


def _text(path: Path) -> str | None:
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None


def _entries(values: Any) -> list[dict[str, Any]]:
    rows = values if isinstance(values, list) else []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("photo"), str)]


def _sha256(source: Path) -> str | None:
    try:
        return sha256_file(source)
    except InputError:  # told when it is to be done again
        return None


def _line(entry: Mapping[str, Any]) -> bytes:
    return json_text(entry, indent=None).encode() + b"\n"
