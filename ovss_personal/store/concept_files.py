"""The two files a concept is saved as: what they are called, and their strict reading."""

from __future__ import annotations

import difflib
import json
import os
import re
import warnings
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import ConceptError, OvssWarning
from ovss_personal.io.files import reason
from ovss_personal.store.tensors import read_tensors
from ovss_personal.text import brief

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE = "adapter_config.json"
MODEL_FILE = "adapter_model.safetensors"
CARD_FILE = "README.md"
FORMAT_VERSION = 2  # 1 also had the names of the shots' files, which are left out when it is read
LIBRARY = "ovss_personal"
CONFIG_KEYS = {
    "format_version", "library", "library_version", "concept", "class_name", "base", "base_fingerprint",
    "num_proposals", "dim", "alpha", "fit", "words", "shots", "losses", "album",
}  # fmt: skip
MAX_FILE_BYTES = 64 * 2**20
MAX_LISTED = 5  # keys that a warning names
MAX_SIZE = 2**20  # of N and D
MAX_VALUE = 1e6  # of what is learned: with larger ones a sum may be infinite
MIN_NORM = 1e-6
_REPOSITORY = r"\w[\w.-]*/\w[\w.-]*"


def known_values(names: Set[str], values: Any, where: str) -> dict[str, Any]:
    """The values of these names; a warning says what else there is. Raises TypeError if it is no JSON object."""
    if not isinstance(values, dict):
        raise TypeError(f"'{where}' is no JSON object")
    unknown = sorted(set(values) - names)
    if unknown:
        listed = [name if len(name) <= 40 else f"{name[:40]}…" for name in unknown[:MAX_LISTED]]
        listed += [f"{len(unknown) - MAX_LISTED} more"] if len(unknown) > MAX_LISTED else []
        warnings.warn(
            f"{CONFIG_FILE}: '{where}' has keys that this version does not know, left out: {', '.join(listed)}.",
            OvssWarning,
            stacklevel=2,
        )
    return {name: value for name, value in values.items() if name in names}


def read_config(folder: Path) -> dict[str, Any]:
    """What `adapter_config.json` says. Raises ConceptError unless it is one of ours, of a format we read."""
    path = folder / CONFIG_FILE
    if not os.path.isfile(path):  # not Path's, which raises for a name that is too long
        raise ConceptError(
            f"no {CONFIG_FILE} here, so this is not a concept."
            if os.path.isdir(folder)
            else "there is no such folder.",
            path=folder,
            hint=_meant(folder),
        )
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        config = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConceptError(f"cannot be read: {reason(error)}.", path=path, hint="check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise ConceptError(f"cannot be read ({error}).", path=path, hint="run personalize again.") from error
    if not isinstance(config, dict) or config.get("library") != LIBRARY:
        raise ConceptError(f"'library' is not '{LIBRARY}', so this is not one of our concepts.", path=path)
    version = config.get("format_version")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ConceptError(
            f"'format_version' is {brief(version)}, but this version reads up to {FORMAT_VERSION}.",
            path=path,
            hint="pip install --upgrade ovss-personal",
        )
    return known_values(CONFIG_KEYS, config, "concept")


def read_head(folder: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    """The learned tensors, float32. Raises ConceptError unless their names and shapes are right and all is finite."""
    import torch

    path = folder / MODEL_FILE
    if not path.is_file():
        raise ConceptError(f"no {MODEL_FILE} here; the concept is not whole.", path=folder)
    tensors = read_tensors(path, error=ConceptError, hint="run personalize again.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConceptError(f"cannot be read (larger than {MAX_FILE_BYTES} bytes).", path=path)
    count, dim = (_size(config, key, folder) for key in ("num_proposals", "dim"))
    expected = {
        "text": (dim,),
        "visual": (dim,),
        "embedding_weights": (count,),
        "mask_weights": (count,),
        "mask_bias": (),
    }
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))
        raise ConceptError(f"has missing or extra tensors: {', '.join(odd)}.", path=path)
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise ConceptError(
                f"'{name}' is {tuple(tensor.shape)} but 'num_proposals' and 'dim' of {CONFIG_FILE} say {shape}.",
                path=path,
            )
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ConceptError(f"'{name}' holds NaN, infinity or no floating-point numbers.", path=path)
    found = {name: tensor.float() for name, tensor in tensors.items()}
    for name, tensor in found.items():
        if not bool((tensor.abs() <= MAX_VALUE).all()):
            raise ConceptError(f"'{name}' holds numbers over {MAX_VALUE:g}.", path=path, hint="run personalize again.")
    for name in ("text", "visual"):
        if float(found[name].norm()) < MIN_NORM:
            raise ConceptError(f"'{name}' is a vector of zeros.", path=path, hint="run personalize again.")
    return found


def on_hub(source: str | Path) -> bool:
    """Whether a concept is said to be on the hub, `hf://user/name`; a path on this machine never is."""
    return re.match(r"hf:/|hub:", str(source)) is not None  # a Path has one slash where two were written


def download(source: str | Path, offline: bool = False) -> Path:
    """The folder of a concept on the Hugging Face hub, fetched once.

    Args:
        source: `hf://user/name` or `hub:user/name`.
        offline: open no connection.

    Raises:
        ConceptError: it is not written so, or cannot be had.
    """
    repo_id = re.sub(r"^(hf:/+|hub:/*)", "", str(source))
    if not re.fullmatch(_REPOSITORY, repo_id, re.ASCII):
        raise ConceptError(f"'{source}' names no concept of the hub.", hint="write it as hf://user/name.")
    from huggingface_hub import constants, snapshot_download

    offline = offline or bool(constants.HF_HUB_OFFLINE)
    try:
        files = [CONFIG_FILE, MODEL_FILE, CARD_FILE]
        return Path(snapshot_download(repo_id, allow_patterns=files, local_files_only=offline))
    except Exception as error:
        raise ConceptError(
            f"the concept '{repo_id}' was not downloaded before, and offline nothing is."
            if offline
            else f"no concept '{repo_id}' could be had from the hub ({error}).",
            hint="run it with a connection once." if offline else "check its name and the network.",
        ) from error


def _meant(folder: Path) -> str:
    """What the user may have meant by a folder that holds no concept."""
    try:
        beside = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()]
    except OSError:
        beside = []
    close = difflib.get_close_matches(folder.name, [name for name in beside if name != folder.name], n=1)
    if close and not os.path.isdir(folder):
        return f"did you mean '{folder.parent / close[0]}'?"
    if re.fullmatch(_REPOSITORY, str(folder), re.ASCII) and not folder.parent.exists():
        return f"check the path; a concept of the hub is written hf://{folder}."
    return "name the folder that personalize wrote; 'ovss-personal concepts list' shows those below a folder."


def _size(config: dict[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SIZE:
        raise ConceptError(
            f"'{key}' is {brief(value)}, not a whole number from 1 to {MAX_SIZE}.", path=folder / CONFIG_FILE
        )
    return value
