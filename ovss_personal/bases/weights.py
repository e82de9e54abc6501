"""The weights that do not come with the program: where they are published, and how a base gets them.

A checkpoint is taken from `--weights FILE`, else from the folder OVSS_PERSONAL_WEIGHTS, else from the cache, else from
where it was published (`published`). It is read as a checkpoint once; from then on as the safetensors made of it:

    <cache>/weights/<name>/<sha256 of the checkpoint>/<sha256 of the safetensors>.safetensors
    <cache>/weights/<name>/<file>.sha256      of the first download; no other will be taken for it

Every load hashes what it reads in full: of a local checkpoint, too, as its size and date say nothing about its bytes
once it was copied. The hash takes less time than the base's first image.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ovss_personal.bases import hub
from ovss_personal.bases.checkpoint import read_checkpoint, write_safetensors
from ovss_personal.bases.published import WEIGHTS, WeightSpec
from ovss_personal.errors import OutputError, OvssWarning, WeightsError
from ovss_personal.io.files import expanded, sha256_file
from ovss_personal.store.files import atomic_folder, atomic_write, locked
from ovss_personal.store.tensors import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WEIGHTS", "Verified", "WeightSpec", "Weights", "load_weights", "locate", "pull", "verify"]

FOLDER_VARIABLE = "OVSS_PERSONAL_WEIGHTS"
Against = Literal["known", "beginning", "recorded", "nothing"]
_PATIENCE = 3600.0  # seconds to wait for another process that is downloading the same
_SHOWN = 3  # differences from the manifest that an error lists


class Weights(NamedTuple):
    """What a base is built from.

    Attributes:
        tensors: on the CPU, named as in the checkpoint; mapped from the file, so not to be written to.
        sha256: of the checkpoint, wherever it was found.
    """

    tensors: dict[str, Tensor]
    sha256: str


class Verified(NamedTuple):
    """Weights that are whole.

    Attributes:
        path: the file, or the folder in the cache.
        sha256: of the checkpoint.
        against: whether this is the checksum known to us, one that begins as it does as far as we know it, the one
            recorded on first use, or there was none to compare.
    """

    path: Path
    sha256: str
    against: Against


def load_weights(spec: WeightSpec, chosen: str | None = None, offline: bool = False) -> Weights:
    """The weights of a base, downloaded if they are nowhere here. The licence is told (OvssWarning) before that.

    Args:
        spec: an entry of `WEIGHTS`.
        chosen: a checkpoint of the user's, to be used in place of any other.
        offline: open no connection, as if HF_HUB_OFFLINE were set.

    Raises:
        WeightsError: they are missing, damaged, of another base, not those first downloaded, or cannot be had.
        ResourceError: the disk is full.
        OutputError: there is no room for a download that may be written to.
    """
    if chosen is not None:
        return _from_file(spec, Path(chosen))
    own = _in_own_folder(spec)
    if own is not None:
        return _from_file(spec, own, official=True)
    sha256 = _recorded(spec)
    if sha256 is None or not (spec.folder / sha256).exists():
        return _from_hub(spec, offline)
    tensors = _read_entry(spec.folder / sha256)
    if tensors is None:
        raise _damaged(spec, spec.folder / sha256)
    return Weights(tensors, sha256)


def pull(spec: WeightSpec) -> Verified:
    """Have the weights in the cache, whole, downloading them if need be. Raises what `load_weights` does."""
    return Verified(spec.folder, _from_hub(spec, offline=False).sha256, _held_to(spec, "recorded"))


def locate(spec: WeightSpec) -> Path | None:
    """The file that `load_weights` would take, unread; None if it would go to the hub."""
    own = _in_own_folder(spec)
    sha256 = None if own else _recorded(spec)
    return own if sha256 is None else next((spec.folder / sha256).glob("*.safetensors"), None)


def verify(spec: WeightSpec) -> Verified | None:
    """Hash the weights that are here, and compare; None if there are none.

    Raises:
        WeightsError: they are not what they were, or not what they must be.
    """
    path, own = locate(spec), _in_own_folder(spec)
    if path is None:
        return None
    found = sha256_file(path)
    if own is not None:
        _check_known(spec, path, found)
        _read(spec, path, found)
        return Verified(path, found, _held_to(spec, "beginning" if spec.sha256 else "nothing"))
    if found != path.stem:
        raise _damaged(spec, path)
    return Verified(path, path.parent.name, _held_to(spec, "recorded"))


def _held_to(spec: WeightSpec, otherwise: Against) -> Against:
    return "known" if spec.sha256_is_whole else otherwise


def _in_own_folder(spec: WeightSpec) -> Path | None:
    """The file in the folder that the user keeps weights in."""
    folder = os.environ.get(FOLDER_VARIABLE)
    path = expanded(folder, FOLDER_VARIABLE, WeightsError) / spec.file if folder else None
    return path if path is not None and path.is_file() else None


def _from_file(spec: WeightSpec, path: Path, official: bool = False) -> Weights:
    """The weights in a checkpoint, which may be one of the user's own making unless it is to be the `official` one."""
    if not path.is_file():
        what = "expected a file, found a folder." if path.is_dir() else "there is no such file."
        raise WeightsError(what, path=path, hint=f"Name the checkpoint {spec.file} or one like it.")
    sha256 = sha256_file(path)
    if official:
        _check_known(spec, path, sha256)
    tensors = _read_entry(spec.folder / sha256)
    if tensors is None:
        try:
            with locked(spec.folder, _PATIENCE):
                tensors = _read_entry(spec.folder / sha256) or _convert(spec, path, sha256)
        except OutputError as error:
            warnings.warn(
                f"{error.path}: the cache {error.message} Going on without it. "
                "Set OVSS_PERSONAL_CACHE to a folder that can.",
                OvssWarning,
                stacklevel=2,
            )
            tensors = _read(spec, path, sha256)
    return Weights(tensors, sha256)


def _from_hub(spec: WeightSpec, offline: bool) -> Weights:
    if offline or hub.is_offline():
        raise WeightsError(
            f"the weights {spec.file} are not on this machine, and offline nothing is downloaded.",
            hint=f"Run 'ovss-personal weights pull {spec.name}' with a connection, or put the file into a folder that "
            f"{FOLDER_VARIABLE} names.",
        )
    with locked(spec.folder, _PATIENCE):
        recorded = _recorded(spec)
        tensors = _read_entry(spec.folder / recorded) if recorded else None
        if recorded and tensors:  # another process was downloading them
            return Weights(tensors, recorded)
        file = hub.look_up(spec.repo, spec.revision, spec.file) if spec.url is None else hub.look_up_url(spec.url)
        size = "" if file.bytes is None else f", {file.bytes / 1e6:.0f} MB"
        warnings.warn(
            f"downloading {spec.file}{size} from {spec.repo}; the licence of these weights is {spec.licence}, "
            f"see {spec.page}",
            OvssWarning,
            stacklevel=2,
        )
        part = hub.download(file, spec.folder)
        try:
            sha256 = sha256_file(part)
            _check_download(spec, file, part, sha256, recorded)
            tensors = _convert(spec, part, sha256)
        except WeightsError as error:
            part.unlink()
            raise WeightsError(error.message, path=file.url, hint=error.hint) from error
        atomic_write(_record(spec), f"{sha256}  {spec.file}\n".encode())
        part.unlink()
    return Weights(tensors, sha256)


def _check_download(spec: WeightSpec, file: hub.HubFile, part: Path, sha256: str, recorded: str | None) -> None:
    """Raises WeightsError unless a download has every checksum that is known of it."""
    _check_known(spec, part, sha256)
    if recorded not in (None, sha256):
        raise WeightsError(
            f"is not what it was: its sha256 is {sha256}, that of the first download was {recorded}.",
            path=part,
            hint=f"If the publisher has good reasons, remove {_record(spec)} and run it again.",
        )
    if file.sha256 not in (None, sha256):
        raise WeightsError(
            f"was damaged on its way: its sha256 is {sha256}, the hub says {file.sha256}.",
            path=part,
            hint="Run it again.",
        )


def _check_known(spec: WeightSpec, path: Path, sha256: str) -> None:
    size = path.stat().st_size
    if spec.bytes not in (None, size):
        raise WeightsError(f"is {size} bytes, and {spec.file} is {spec.bytes}.", path=path, hint="Fetch it again.")
    if not spec.may_be(sha256):
        is_or_begins = "is" if spec.sha256_is_whole else "begins with"
        raise WeightsError(
            f"its sha256 is {sha256}, and that of {spec.file} {is_or_begins} {spec.sha256}.",
            path=path,
            hint="Fetch it again.",
        )


def _read(spec: WeightSpec, path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint of that sha256. Raises WeightsError unless they are those of the manifest."""
    # A TorchScript archive is a program: only the very one that we know is opened.
    tensors = read_checkpoint(path, scripted=sha256 == spec.sha256)
    manifest = spec.read_manifest()
    differences = manifest.differences(tensors, spec.open_ended)
    if not differences:
        return {name: tensors[name] for name in manifest.tensors}
    for other in WEIGHTS.values():
        if not other.read_manifest().differences(tensors, other.open_ended):
            raise WeightsError(
                f"this is {other.name}, not {spec.name}.", path=path, hint=f"Pass --base {other.name}, or another file."
            )
    more = len(differences) - _SHOWN
    listed = "; ".join(differences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    raise WeightsError(f"does not hold the weights of {spec.name}: {listed}.", path=path, hint="Pass another file.")


def _convert(spec: WeightSpec, path: Path, sha256: str) -> dict[str, Tensor]:
    """Keep a checkpoint as safetensors, and read those. Other conversions go, but that of the download stays."""
    tensors = _read(spec, path, sha256)
    entry = spec.folder / sha256
    with atomic_folder(entry, overwrite=True) as part:
        own = write_safetensors(part / "new", tensors)
        (part / "new").rename(part / f"{own}.safetensors")
        if sha256_file(path) != sha256:
            raise WeightsError("was changed while it was read.", path=path, hint="Run it again.")
    for other in spec.folder.iterdir():
        if other.is_dir() and other.name not in (sha256, _recorded(spec)):
            shutil.rmtree(other, ignore_errors=True)
    converted = _read_entry(entry)
    if converted is None:
        raise _damaged(spec, entry)
    return converted


def _read_entry(entry: Path) -> dict[str, Tensor] | None:
    """The tensors in the cache, or None if they are not there or not what they were."""
    for path in entry.glob("*.safetensors"):
        if sha256_file(path) == path.stem:
            return read_tensors(path)
    return None


def _record(spec: WeightSpec) -> Path:
    return spec.folder / f"{spec.file}.sha256"


def _recorded(spec: WeightSpec) -> str | None:
    """The sha256 of the first download. Raises WeightsError if it is not the one that we know."""
    path = _record(spec)
    try:
        found = re.match(r"[0-9a-f]{64}", path.read_text("ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        found = None
    if found is None or not spec.may_be(found[0]):
        raise WeightsError("is not the sha256 of these weights.", path=path, hint="Remove it and run it again.")
    return found[0]


def _damaged(spec: WeightSpec, path: Path) -> WeightsError:
    return WeightsError(
        "is damaged: its sha256 is not what it was when it was written.",
        path=path,
        hint=f"Run 'ovss-personal weights pull {spec.name}' to fetch it again.",
    )
