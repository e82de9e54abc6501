"""Zip files of photos and masks: unpacked into a temporary folder, never outside it, never without bounds."""

from __future__ import annotations

import errno
import shutil
import stat
import tempfile
import weakref
import zipfile
from pathlib import Path, PurePosixPath

from ovss_personal.errors import OvssError, ResourceError, ShotsError
from ovss_personal.io.files import reason, require_file

__all__ = ["OTHER_ARCHIVES", "Unpacked", "is_zip"]

MOST_FILES = 50_000
MOST_BYTES = 4 * 2**30
MOST_RATIO = 1000  # of what is unpacked to the zip; asked only of more than RATIO_FROM bytes, as masks pack well
RATIO_FROM = 256 * 2**20
OTHER_ARCHIVES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz"}
_JUNK = ("__MACOSX",)
_CHUNK = 2**20


class Unpacked:
    """What a zip holds, in a temporary folder that is removed when nothing refers to this any longer.

    Attributes:
        path: the zip.
        place: the temporary folder, in which one of the zip's name holds it all.
        folder: where to look; if all lies in one folder of the zip, that one.

    Raises:
        ShotsError: no zip that can be read, encrypted, or larger than `MOST_FILES`, `MOST_BYTES` or `MOST_RATIO`; or an
            entry that is a link or lies outside.
        ResourceError: the disk is full.
    """

    def __init__(self, path: str | Path):
        self.path = path = require_file(path, ShotsError)
        self.place = Path(tempfile.mkdtemp(prefix="ovss-personal-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.place, ignore_errors=True)
        folder = self.place / path.name  # so that messages name the zip
        try:
            folder.mkdir()
            _unpack(path, folder)
        except OvssError:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceError("the disk is too full to unpack it.", path=path, hint="Free some space.") from error
            raise ShotsError(
                f"the zip cannot be unpacked: {reason(error):.200}.", path=path, hint="Unpack it yourself."
            ) from error
        except Exception as error:  # broken bytes raise anything: BadZipFile, zlib.error, NotImplementedError, ...
            raise ShotsError(
                f"this is no zip that can be read: {reason(error):.200}.", path=path, hint="Make it again."
            ) from error
        self.folder = _only_folder(folder)


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _unpack(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not _is_junk(entry)]
        _check(entries, path)
        room = MOST_BYTES
        for entry in entries:
            target = folder.joinpath(*_parts(entry))
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, open(target, "xb") as file:
                while chunk := source.read(_CHUNK):  # its header may lie about its size
                    room -= len(chunk)
                    if room < 0:
                        raise _too_large(path)
                    file.write(chunk)


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MOST_FILES:
        raise ShotsError(
            f"the zip holds {len(entries)} files; at most {MOST_FILES} are unpacked.",
            path=path,
            hint="Unpack it yourself, and name the folder.",
        )
    total, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if total > MOST_BYTES or total > max(RATIO_FROM, MOST_RATIO * packed):
        raise _too_large(path)
    for entry in entries:
        _check_entry(entry, path)
    names = {"/".join(_parts(entry)).casefold() for entry in entries}
    if len(names) < len(entries):
        raise ShotsError("two files in the zip have the same name.", path=path, hint="Unpack it yourself.")


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name, mode, parts = entry.filename, entry.external_attr >> 16, _parts(entry)
    if not parts or parts[0] == "/" or ".." in parts or parts[0].endswith(":"):
        raise ShotsError(f"the zip names a file outside itself: {name!r:.80}.", path=path, hint="Do not trust it.")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ShotsError(
            f"{name!r:.80} in the zip is a link or a device, not a file.", path=path, hint="Zip the files themselves."
        )
    if entry.flag_bits & 1:
        raise ShotsError("the zip is encrypted.", path=path, hint="Unpack it yourself, and name the folder.")


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    return PurePosixPath(entry.filename.replace("\\", "/")).parts  # old zips of Windows have its separators


def _too_large(path: Path) -> ShotsError:
    return ShotsError(
        f"unpacked, the zip would be larger than {MOST_BYTES / 2**30:g} GB, or {MOST_RATIO} times its size.",
        path=path,
        hint="Unpack it yourself, and name the folder.",
    )


def _is_junk(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/") or entry.filename.split("/")[0] in _JUNK


def _only_folder(folder: Path) -> Path:
    """The folder in it, and in that, as long as nothing else is there and its name says nothing."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return _only_folder(entries[0]) if len(entries) == 1 and entries[0].is_dir() else folder
