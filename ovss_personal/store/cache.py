"""What a base saw in an image, kept on disk: each passes through a base once, ever.

Entries are named by the image's content and the base's fingerprint, so that none is ever stale.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.errors import OutputError, OvssError, OvssWarning
from ovss_personal.io.files import expanded
from ovss_personal.store.tensors import seal, unseal
from ovss_personal.structures import Canvas, Proposals

if TYPE_CHECKING:
    from torch import Tensor

# The second form is a write under way or, an hour later, what a killed one left behind.
_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors|\.[0-9a-f]{64}\.safetensors\.[0-9a-f]+\.part")
_EXTRA = "extras."
_MAX_SIDE = 2**20  # pixels of a canvas
_SPARE = 20  # a full cache is emptied by this part at least, so that not every put has to look through the folder


def entry_key(image_sha256: str, fingerprint: str) -> str:
    """The name of an entry: 64 hexadecimal digits.

    Args:
        image_sha256: of the image file's bytes or of its pixels.
        fingerprint: of the base, covering every setting that changes what it sees.
    """
    return hashlib.sha256(f"{image_sha256}\n{fingerprint}".encode()).hexdigest()


class ProposalCache:
    """A folder with one safetensors file for each pair of image and base.

    What was put comes back to the bit. Masks take half the room where float16 holds them (`Proposals.rounded`).

    Any number of processes may share the folder. When it outgrows `max_bytes`, the entries that were not
    used for longest go. How much it holds is counted once and then added up: what other processes write is not seen
    before the next count, which is when the cache seems full. A folder that cannot be written is warned of once
    (OvssWarning), after which the cache is merely useless; no method raises for it.

    Args:
        folder: where to keep the entries; None is `proposals` in `default_folder()`, which may raise.
        max_bytes: the most that all entries together may take.

    Attributes:
        writable: false once a write has failed.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = 2 * 1024**3):
        self.folder = default_folder() / "proposals" if folder is None else Path(folder)
        self.max_bytes = max_bytes
        self.writable = True
        self._held: int | None = None  # bytes of all entries; None before the first count

    def get(self, key: str) -> Proposals | None:
        """The entry of that key on the CPU, or None. A corrupt entry is removed and counts as none."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        proposals = _decode(data, key)
        # A folder of somebody else's may refuse both; reading from it is fine all the same.
        with suppress(OSError):
            if proposals is None:
                path.unlink()
            else:
                os.utime(path)
        return proposals

    def put(self, key: str, proposals: Proposals) -> None:
        """Keep an entry; tensors may be on any device. Does nothing if it is larger than the whole cache."""
        from ovss_personal.store.files import atomic_write

        data = _encode(proposals, key)
        if not self.writable or len(data) > self.max_bytes:
            return
        if self._held is None or self._held + len(data) > self.max_bytes:
            self._held = self.info()[1]
        if self._held + len(data) > self.max_bytes:
            self._evict(self.max_bytes - max(len(data), self.max_bytes // _SPARE))
        try:
            atomic_write(self._path(key), data)
            self._held += len(data)
        except OvssError as error:
            self.writable = False
            warnings.warn(
                f"{self.folder}: the cache {error.message} Going on without it. "
                "Set OVSS_PERSONAL_CACHE to a folder that can.",
                OvssWarning,
                stacklevel=2,
            )

    def info(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""
        sizes = [status.st_size for _, status in self._entries()]
        return len(sizes), sum(sizes)

    def clear(self) -> tuple[int, int]:
        """Remove every entry; how many there were, and their bytes. Other files in the folder stay."""
        return self._evict(0)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        with suppress(OSError):
            for item in os.scandir(self.folder):
                if _ENTRY.fullmatch(item.name):
                    with suppress(OSError):  # another process may have removed it meanwhile
                        status = item.stat()
                        if not item.name.endswith(".part") or time.time() - status.st_mtime > 3600:
                            yield Path(item.path), status

    def _evict(self, room: int) -> tuple[int, int]:
        """Count anew, and remove the entries used longest ago until the rest take at most `room` bytes."""
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime_ns)
        self._held = sum(status.st_size for _, status in entries)
        removed = freed = 0
        for path, status in entries:
            if self._held <= room:
                break
            self._held -= status.st_size
            with suppress(OSError):
                path.unlink()
                removed, freed = removed + 1, freed + status.st_size
        return removed, freed


def default_folder() -> Path:
    """The folder of all caches: OVSS_PERSONAL_CACHE, or the platform's folder for this user's caches.

    A user without a home gets one in the temporary folder.

    Raises:
        OutputError: there is no home, and the folder in the temporary one cannot be made or is not this user's alone.
    """
    import platformdirs

    chosen = os.environ.get("OVSS_PERSONAL_CACHE")
    if chosen:
        return _not_a_stranger_s(expanded(chosen, "OVSS_PERSONAL_CACHE", OutputError))
    folder = platformdirs.user_cache_path("ovss_personal", appauthor=False, opinion=False)
    return _private_folder() if folder.parts[0] == "~" else folder  # what is left where no home is known


def _private_folder() -> Path:
    """A folder below the temporary one that nobody else can read or write, or could have made."""
    from ovss_personal.store.files import write_errors

    folder = Path(tempfile.gettempdir()) / f"ovss_personal-{os.getuid()}"
    with write_errors(folder):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()  # not of what a link of somebody else's points to
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise _not_ours(folder)
    return folder


def _not_a_stranger_s(folder: Path) -> Path:
    """The folder; where everybody may make one (`/tmp`), what is there must be ours, and nobody else's to write."""
    if os.name == "nt":
        return folder
    for inside, shared in zip((folder, *folder.parents), folder.parents, strict=False):
        with suppress(OSError):
            if shared.stat().st_mode & stat.S_IWOTH:
                status = inside.lstat()
                # A link is checked as itself: its owner says where it leads.
                writable = not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o022
                if status.st_uid not in (os.getuid(), 0) or writable:
                    raise _not_ours(inside)
    return folder


def _not_ours(folder: Path) -> OutputError:
    return OutputError(
        "the folder for caches is not this user's alone.",
        path=folder,
        hint="Set OVSS_PERSONAL_CACHE to a folder that is, or remove this one.",
    )


def entry_bytes(proposals: Proposals) -> int:
    """How much of a `ProposalCache` an entry takes."""
    return len(_encode(proposals, ""))


def _on_cpu(proposals: Proposals) -> Proposals:
    return replace(
        proposals,
        masks=proposals.masks.cpu(),
        embeddings=proposals.embeddings.cpu(),
        features=proposals.features.cpu(),
        extras={name: tensor.cpu() for name, tensor in proposals.extras.items()},
    )


def _encode(proposals: Proposals, key: str) -> bytes:
    import torch

    canvas = proposals.canvas
    small = proposals.masks.half()
    tensors: dict[str, Tensor] = {
        "masks": small if torch.equal(small.float(), proposals.masks) else proposals.masks,
        "embeddings": proposals.embeddings,
        "features": proposals.features,
        "canvas": torch.tensor([canvas.original, canvas.resized, canvas.padded]),  # (3, 2)
        **{_EXTRA + name: tensor for name, tensor in proposals.extras.items()},
    }
    return seal(tensors, key)


def _decode(data: bytes, key: str) -> Proposals | None:
    """The proposals in a file, or None if it is not whole, or not what was put under that key."""
    tensors = unseal(data, key)
    if tensors is None or not _fit_together(tensors):
        return None
    try:
        original, resized, padded = ((int(h), int(w)) for h, w in tensors.pop("canvas"))
        return Proposals(
            masks=tensors.pop("masks").float(),
            embeddings=tensors.pop("embeddings"),
            features=tensors.pop("features"),
            canvas=Canvas(original, resized, padded),
            extras={name.removeprefix(_EXTRA): tensor for name, tensor in tensors.items()},
        )
    except (KeyError, ValueError):
        return None


def _fit_together(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of proposals, in shapes that belong together."""
    try:
        masks, embeddings, features, canvas = (tensors[n] for n in ("masks", "embeddings", "features", "canvas"))
    except KeyError:
        return False
    shapes = masks.ndim == 3 and embeddings.ndim == 2 and features.ndim == 3 and canvas.shape == (3, 2)
    return (
        shapes
        and len(masks) == len(embeddings)
        and embeddings.shape[1] == len(features)
        and all(tensor.is_floating_point() for tensor in (masks, embeddings, features))
        and bool(((canvas > 0) & (canvas <= _MAX_SIDE)).all())
    )
