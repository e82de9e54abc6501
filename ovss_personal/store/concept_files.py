"""The two files a concept is saved as: what they are called, and their strict reading."""

from __future__ import annotations

import json
import warnings
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import ConceptError, OvssWarning
from ovss_personal.store.tensors import read_tensors

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


def known_values(names: Set[str], values: Any, where: str) -> dict[str, Any]:
    """The values of these names; a warning says what else there is. Raises TypeError if it is no JSON object."""
    if not isinstance(values, dict):
        raise TypeError(f"'{where}' is no JSON object")
    unknown = sorted(set(values) - names)
    if unknown:
        warnings.warn(
            f"{CONFIG_FILE}: '{where}' has keys that this version does not know, left out: {', '.join(unknown)}.",
            OvssWarning,
            stacklevel=2,
        )
    return {name: value for name, value in values.items() if name in names}


def read_config(folder: Path) -> dict[str, Any]:
    """What `adapter_config.json` says. Raises ConceptError unless it is one of ours, of a format we read."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ConceptError(
            f"no {CONFIG_FILE} here, so this is not a concept." if folder.is_dir() else "there is no such folder.",
            path=folder,
            hint="name the folder that personalize wrote; 'ovss-personal concepts list' shows those below a folder.",
        )
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConceptError(f"cannot be read ({error}).", path=path, hint="run personalize again.") from error
    if not isinstance(config, dict) or config.get("library") != LIBRARY:
        raise ConceptError(f"'library' is not '{LIBRARY}', so this is not one of our concepts.", path=path)
    version = config.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ConceptError(
            f"'format_version' is {version!r}, but this version reads up to {FORMAT_VERSION}.",
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
    count, dim = config.get("num_proposals"), config.get("dim")
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
    return {name: tensor.float() for name, tensor in tensors.items()}


def download(repo_id: str) -> Path:
    """The folder of a concept on the Hugging Face hub, fetched once. Raises ConceptError if it cannot be had."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, allow_patterns=[CONFIG_FILE, MODEL_FILE, CARD_FILE]))
    except Exception as error:
        raise ConceptError(
            f"there is no folder '{repo_id}', and no such concept could be had from the hub ({error}).",
            hint="check the path.",
        ) from error
