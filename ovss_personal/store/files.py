"""Writing whole or not at all, locks, and file names made of what a user calls a thing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.errors import OutputError, ResourceError
from ovss_personal.io.files import reason

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["atomic_folder", "atomic_write", "file_stem", "locked", "safe_name", "unused_name", "write_errors"]

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_RENAME_EXCHANGE = 2  # renameat2(2)
_AT_FDCWD = -100
_NAME_BYTES = 100  # leaves room for a suffix under the 255 bytes that file systems allow
_HIDDEN_BYTES = 200  # of a name that is made longer by what marks a hidden file of ours
_STALE = 3600.0  # seconds after which nobody is writing a `.part` any more
_PART = re.compile(r"\..*\.[0-9a-f]{8}\.part", re.DOTALL)
_INSIDE = ".ovss_personal.lock"  # of a folder that nothing can be written beside
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


def atomic_write(path: str | Path, data: bytes, *, through_links: bool = True) -> None:
    """Writes `data` to `path`; a kill at any moment leaves the old file or the new one, never a part.

    Missing parent folders are made. A kill may leave a hidden `.part` file beside `path`.

    Args:
        through_links: where `path` is a link, write what it points to; otherwise that is an OutputError.

    Raises:
        ResourceError: the disk is full.
        OutputError: `path` cannot be written for any other reason.
    """
    if not through_links and os.path.islink(path):
        raise OutputError("is a link, and nothing is written through it.", path=path, hint="Choose another output.")
    named, path = Path(path), Path(os.path.realpath(path))
    part = _part_of(path)
    with write_errors(named):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: str | Path, overwrite: bool = False, owned_by: str | None = None) -> Iterator[Path]:
    """Yields an empty folder beside `path` that takes its place when the block ends without an error.

    With `overwrite`, the old folder and the new one change places in one step on Linux. Elsewhere the old
    one is first moved to a hidden `.part` folder beside `path`, where a kill in between leaves it whole.

    Args:
        path: the folder to make; missing parents are made.
        overwrite: replace `path` if it exists.
        owned_by: name of a file that marks a folder as ours; a folder that holds files but not this one is
            never replaced.

    Raises:
        ResourceError: the disk is full.
        OutputError: `path` exists and may not be replaced, or something cannot be written. An OSError of
            the block counts as such: let it write and nothing else.
    """
    named, path = Path(path), Path(os.path.realpath(path))
    _check_replaceable(named, overwrite, owned_by)
    part = _part_of(path)
    with write_errors(named):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, path.name)
        part.mkdir()
        try:
            yield part
            _sync_tree(part)
            _check_replaceable(named, overwrite, owned_by)  # the block may have taken hours
            if not path.exists():
                os.rename(part, path)
            elif not _exchange(part, path):
                old = _part_of(path)
                os.rename(path, old)
                os.rename(part, path)
                shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)  # after an exchange, this is the old folder
        _sync(path.parent)


@contextlib.contextmanager
def locked(path: str | Path, timeout: float = 0.0) -> Iterator[None]:
    """Holds the lock on `path`, a hidden `.lock` file beside it, while the block runs, and leaves none behind.

    Where nothing can be written beside a folder, the lock is in it. What a killed process left there is removed.

    Args:
        path: the file or folder about to be written; it need not exist.
        timeout: seconds to wait for another process to let go.

    Raises:
        OutputError: another process holds the lock, or the lock file cannot be written.
        ResourceError: the disk is full.
    """
    path = Path(os.path.realpath(path))
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = _acquired(_hidden(path, ".lock") if path.name else path / _INSIDE, path, timeout)
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not path.is_dir():
                raise
            lock = _acquired(path / _INSIDE, path, timeout)
        _sweep(path.parent, path.name)
        _sweep(path)
    try:
        yield
    finally:
        if _lock_may_go():
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)
        lock.release()


def safe_name(text: str) -> str:
    """A file name for a user's `text`: letters, marks and digits of any script kept, the rest `_`.

    Never empty, no separator, no leading dot or dash, at most 100 bytes of UTF-8, no name that Windows
    reserves. Applying it twice changes nothing more.

    >>> safe_name("my mug / blue")
    'my_mug_blue'
    """
    text = unicodedata.normalize("NFC", text)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "_-" else " " for c in text)
    name = "_".join(kept.split())
    name = name.encode()[:_NAME_BYTES].decode(errors="ignore").strip("_-")
    if not name:
        return f"concept-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
    return f"{name}_concept" if name.casefold() in _WINDOWS_DEVICES else name


def file_stem(name: str, room: int) -> str:
    """The name of another's file, without suffix, as part of a name of ours.

    Bytes that are not UTF-8, and characters that nobody sees, become `_`; it takes at most `room` bytes.
    """
    kept = "".join(c if c.isprintable() or c == "\u3000" else "_" for c in name)
    return kept if len(kept.encode()) <= room else kept.encode()[:room].decode(errors="ignore")


def unused_name(name: str, taken: Iterable[str]) -> str:
    """The name, or the name with -2, -3, … if it is taken; letter case tells no files apart everywhere."""
    folded = {other.casefold() for other in taken}
    candidate, number = name, 1
    while candidate.casefold() in folded:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _part_of(path: Path) -> Path:
    return _hidden(path, f".{secrets.token_hex(4)}.part")


def _hidden(path: Path, suffix: str) -> Path:
    """A hidden file beside `path`; of a name too long to be made longer, the beginning and a hash."""
    data = os.fsencode(path.name)
    if len(data) > _HIDDEN_BYTES:
        data = data[:_HIDDEN_BYTES] + b"-" + hashlib.sha256(data).hexdigest()[:8].encode()
    return path.with_name(os.fsdecode(b"." + data + suffix.encode()))


def _sweep(folder: Path, name: str = "") -> None:
    """Removes what writes (of files of that name, or any) that were killed left in a folder, if the system lets it."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if not _PART.fullmatch(entry.name) or not entry.name.startswith(f".{name}." if name else "."):
                continue
            age = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if not entry.is_dir(follow_symlinks=False):
                if age > _STALE:
                    os.unlink(entry.path)
            # Where folders cannot be exchanged in one step, the old one is a part until the new one is there.
            elif age > 24 * _STALE and (folder / entry.name[1:].removesuffix(".part").rpartition(".")[0]).exists():
                shutil.rmtree(entry.path, ignore_errors=True)


def _acquired(name: Path, path: Path, timeout: float) -> FileLock:
    """The lock that is a file `name`, on `path`. Raises OutputError if another process holds it, and OSError."""
    from filelock import FileLock, Timeout

    lock = FileLock(name)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        if not os.path.lexists(name):  # as in /proc
            raise OutputError(
                "cannot be written: no file can be made here.", path=path, hint="Choose another output."
            ) from None
        raise OutputError(
            "another process is writing here.", path=path, hint="Wait until it is done, or choose another output."
        ) from None
    return lock


def _lock_may_go() -> bool:
    """Whether the lock's file may be removed: who waited for it must see that it is gone, which filelock 4.2 does."""
    import filelock

    return tuple(int(part) for part in filelock.__version__.split(".")[:2]) >= (4, 2)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Makes an OSError of the block, which writes `path`, a ResourceError (full disk) or an OutputError."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _DISK_FULL:
            raise ResourceError(
                f"the disk is full: {reason(exc)}.", path=path, hint="Free some space and run it again."
            ) from exc
        raise OutputError(
            f"cannot be written: {reason(exc)}.", path=path, hint="Choose an output that you may write to."
        ) from exc


def _check_replaceable(path: Path, overwrite: bool, owned_by: str | None) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError("the output exists and is not a folder.", path=path, hint="Choose another output.")
    if not overwrite:
        raise OutputError("the output folder exists.", path=path, hint="Pass --overwrite or choose another output.")
    if owned_by is not None and any(path.iterdir()) and not (path / owned_by).is_file():
        raise OutputError(
            f"the folder holds other files and no {owned_by}, so it is not ours to overwrite.",
            path=path,
            hint="Choose another output, or empty the folder yourself.",
        )


def _exchange(one: Path, other: Path) -> bool:
    """Lets two existing paths change names in one step; false where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)  # absent from glibc before 2.28
    if renameat2 is None:
        return False
    status = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(status == 0)


def _sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power cut."""
    if os.name == "nt":  # neither folders nor files opened for reading can be synced there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # some network file systems do not know it for folders
            raise
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))
