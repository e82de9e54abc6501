"""What a base makes of a word, kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ovss_personal.errors import OvssError
from ovss_personal.store.cache import default_folder
from ovss_personal.store.tensors import seal, unseal

if TYPE_CHECKING:
    from torch import Tensor

_WORD = "word "  # before each word, since some strings are no names for a tensor


class WordCache:
    """A file with the vectors of the words that one base has encoded.

    Any number of processes may share it: the last to write wins, and what the others had is encoded again. Like
    `store.cache.ProposalCache`, it is merely useless where it cannot be read or written.

    Args:
        fingerprint: of the base.
        folder: where to keep the file; None is `words` in `default_folder()`.
    """

    def __init__(self, fingerprint: str, folder: Path | None = None):
        self._path = (_folder() if folder is None else Path(folder)) / f"{fingerprint}.safetensors"

    def load(self) -> dict[str, Tensor]:
        """Word -> (D,) on the CPU. A corrupt file counts as none."""
        try:
            vectors = unseal(self._path.read_bytes(), self._path.stem) or {}
        except OSError:
            return {}
        return {name.removeprefix(_WORD): vector for name, vector in vectors.items()}

    def add(self, vectors: Mapping[str, Tensor]) -> None:
        """Keep these vectors beside those that are there."""
        from ovss_personal.store.files import atomic_write

        everything = {_WORD + word: vector for word, vector in {**self.load(), **vectors}.items()}
        with suppress(OvssError):  # of a folder that cannot be written, the proposals' cache warns
            atomic_write(self._path, seal(everything, self._path.stem))


def clear_words() -> tuple[int, int]:
    """Remove the words of every base; how many files there were, and their bytes."""
    removed = freed = 0
    for path in _folder().glob("*.safetensors"):
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            removed, freed = removed + 1, freed + size
    return removed, freed


def _folder() -> Path:
    return default_folder() / "words"
