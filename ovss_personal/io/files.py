"""A first look at a file or folder of the user's: is it there, what is in it, what are its bytes."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from pathlib import Path

from ovss_personal.errors import InputError, OvssError

__all__ = ["expanded", "glob_files", "list_files", "reason", "require_file", "sha256_file"]

_JUNK = {"thumbs.db", "desktop.ini"}


def require_file(path: str | Path, error: type[InputError] = InputError) -> Path:
    """`path` as a Path to a regular, non-empty file; otherwise raises `error`."""
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise error("there is no such file.", path=path, hint="Check the spelling.") from None
    except (OSError, ValueError) as exc:
        raise error(f"the file cannot be opened: {reason(exc)}.", path=path) from exc
    if stat.S_ISDIR(status.st_mode):
        raise error("expected a file, found a folder.", path=path)
    if not stat.S_ISREG(status.st_mode):
        raise error("expected a regular file, found a device, pipe or socket.", path=path)
    if status.st_size == 0:
        raise error("the file is empty (0 bytes).", path=path, hint="Copy or export it again.")
    return path


def list_files(folder: Path) -> list[Path]:
    """Regular files directly in `folder`, sorted; hidden files, `Thumbs.db` and broken links are left out.

    Raises:
        InputError: `folder` cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as exc:
        raise InputError(f"the folder cannot be listed: {reason(exc)}.", path=folder) from exc
    return [
        entry
        for entry in entries
        if not entry.name.startswith(".") and entry.name.casefold() not in _JUNK and entry.is_file()
    ]


def glob_files(pattern: Path) -> list[Path]:
    """What a pattern names, sorted; in names of folders that are there as written, brackets and stars mean themselves.

    >>> glob_files(Path("photos [2024]/*.jpg"))  # of the folder "photos [2024]", if there is one
    []
    """
    literal, parts = Path(pattern.anchor), list(pattern.parts[1 if pattern.anchor else 0 :])
    while parts and (literal / parts[0]).exists():
        literal /= parts.pop(0)
    if not parts:
        return [literal]
    return [Path(match) for match in sorted(glob.glob(os.path.join(glob.escape(str(literal)), *parts), recursive=True))]


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, 64 lower-case hex digits. Raises InputError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as exc:
        raise InputError(f"the file cannot be read: {reason(exc)}.", path=path) from exc
    return digest.hexdigest()


def expanded(path: str, variable: str, error: type[OvssError]) -> Path:
    """A path that an environment variable names, `~user` resolved. Raises `error` where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise error("names a home that there is not.", path=path, hint=f"Set {variable} to another folder.") from None


def reason(exc: Exception) -> str:
    """What an exception of the system says, as the end of a sentence."""
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).rstrip(".")
