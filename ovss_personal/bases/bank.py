"""A bank of competitors: what a base sees in ordinary photos, as a few hundred embeddings in a file.

The file is a safetensors file of one tensor, `bank` (C, D), with the name and fingerprint of its base as metadata.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ovss_personal.bases.base import Base
from ovss_personal.config import BaseConfig
from ovss_personal.errors import ImageError, WeightsError
from ovss_personal.store.files import atomic_write
from ovss_personal.store.tensors import read_with_metadata
from ovss_personal.structures import RGBImage

MIN_PHOTOS, MAX_PHOTOS = 50, 5000
CENTRES = 512
ROUNDS = 50  # of k-means, at most
_ROWS = 16384  # that are compared with all centres at once
_SAME = 1e-6  # a cosine that is nearer to 1 than this is of one and the same row
_TOGETHER = 8  # photos that a base is given at once


class Bank(NamedTuple):
    """What a base has of one.

    Attributes:
        rows: (C, D) unit norm; None if it was given none.
        fingerprint: of the base with it.
    """

    rows: Tensor | None
    fingerprint: str


def build_bank(base: Base, photos: Iterable[RGBImage], centres: int = CENTRES, seed: int = 0) -> Tensor:
    """(≤ centres, D) unit norm: k-means centres of the embeddings of all proposals, but those that cover nothing.

    Raises:
        ImageError: the base sees nothing in the photos.
    """
    kept, waiting = [], list[RGBImage]()

    def see() -> None:
        for seen in base.propose(waiting):
            kept.append(seen.embeddings[seen.masks.amax((1, 2)) > 0].cpu())
        waiting.clear()

    for photo in photos:
        waiting.append(photo)
        if len(waiting) == _TOGETHER:
            see()
    see()
    rows = torch.cat(kept)
    if not len(rows):
        raise ImageError(f"the base {base.name} sees nothing in these photos.", hint="Choose others.")
    return k_means(rows, centres, seed)


def k_means(rows: Tensor, count: int, seed: int) -> Tensor:
    """(≤ count, D) unit norm: centres of unit vectors (M, D) by their cosines; fewer if fewer rows differ.

    It starts as k-means++ does: from rows drawn one by one, a row the more likely the farther it is from those before.
    """
    rows = F.normalize(rows.float(), dim=1)
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(rows), (), generator=generator))
    chosen, away = [first], (1 - rows @ rows[first]).clamp(min=0)
    while len(chosen) < count and float(away.max()) > _SAME:
        chosen.append(int(torch.multinomial(away, 1, generator=generator)))
        away = torch.minimum(away, (1 - rows @ rows[chosen[-1]]).clamp(min=0))
    centres, owners = rows[chosen], torch.full((len(rows),), -1)
    for _ in range(ROUNDS):
        nearest = torch.cat([(part @ centres.T).argmax(1) for part in torch.split(rows, _ROWS)])
        if torch.equal(nearest, owners):
            break
        owners = nearest
        sums = torch.zeros_like(centres).index_add_(0, owners, rows)
        unused = torch.bincount(owners, minlength=len(centres)) == 0
        centres = torch.where(unused[:, None], centres, F.normalize(sums, dim=1))
    return centres


def write_bank(path: Path, rows: Tensor, base: Base) -> None:
    """Raises OutputError or ResourceError if it cannot be written."""
    from safetensors.torch import save

    of = {"base": base.name, "fingerprint": base.fingerprint}
    atomic_write(path, save({"bank": rows.contiguous()}, metadata=of))


def load_bank(config: BaseConfig, name: str, fingerprint: str, dim: int) -> Bank:
    """The bank that a base was told to use, and the base's fingerprint with it.

    Args:
        name, fingerprint, dim: of the base as it is without.

    Raises:
        WeightsError: the file is missing or broken, or of another base or other settings.
    """
    if config.bank is None:
        return Bank(None, fingerprint)
    rows = _read(Path(config.bank), name, fingerprint, dim)
    digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()
    return Bank(rows, hashlib.sha256(f"{fingerprint}\nbank={digest}".encode()).hexdigest())


def _read(path: Path, name: str, fingerprint: str, dim: int) -> Tensor:
    again = f"Make it again with: ovss-personal competitors build PHOTOS --base {name} --out {path.name}"
    if not path.is_file():
        raise WeightsError("there is no such bank.", path=path, hint=again)
    tensors, of = read_with_metadata(path, hint=again)
    rows = tensors.get("bank")
    if rows is None:
        raise WeightsError("is no bank of competitors.", path=path, hint=again)
    if of.get("base") != name:
        raise WeightsError(f"is a bank of the base {of.get('base')}, not of {name}.", path=path, hint=again)
    if of.get("fingerprint") != fingerprint:
        raise WeightsError(f"was made by {name} with other weights or settings.", path=path, hint=again)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != dim or rows.dtype != torch.float32:
        raise WeightsError(f"holds no rows of {dim} numbers.", path=path, hint=again)
    norms = rows.norm(dim=1)
    if not bool(torch.isfinite(norms).all()) or not torch.allclose(norms, torch.ones_like(norms), atol=1e-3):
        raise WeightsError("holds rows that are not of length 1.", path=path, hint=again)
    return rows
