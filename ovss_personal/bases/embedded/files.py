"""The files of weights: reading, filling a network, and what tells one set from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ovss_personal.errors import WeightsError
from ovss_personal.store.tensors import read_header, read_tensors

WEIGHTS = Path(__file__).parent / "weights"
REINSTALL = "run: pip install --force-reinstall ovss-personal"
_SHA256 = "sha256"  # in a file's own header: of its tensors, so that starting needs not read all of them


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; small floats become float32.

    Raises:
        WeightsError: the file is missing or not whole.
    """
    tensors = read_tensors(path, hint=REINSTALL)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def header(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; its tensors are not read. Raises WeightsError as `load` does."""
    return read_header(path, hint=REINSTALL)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Make a file's tensors those of the network. Raises WeightsError unless names and shapes are the network's."""
    try:
        network.load_state_dict(dict(tensors), assign=True)
    except RuntimeError as error:
        raise WeightsError(f"does not hold this base's tensors ({error}).", path=path, hint=REINSTALL) from error


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors with their sha256 in the header. Raises OutputError, ResourceError if that cannot be done."""
    from safetensors.torch import save as encoded

    from ovss_personal.store.files import atomic_write

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write(path, encoded(kept, {**metadata, _SHA256: _digest(kept)}))


def sha256(path: Path) -> str:
    """What the header says, or the file's own; a file's tensors are read only in the second case."""
    recorded = header(path).get(_SHA256) if path.suffix == ".safetensors" else None
    return recorded or hashlib.sha256(path.read_bytes()).hexdigest()


def verify(folder: Path = WEIGHTS) -> None:
    """Raises WeightsError if a file's tensors are not those that its header was written for."""
    for path in sorted(folder.glob("*.safetensors")):
        recorded = header(path).get(_SHA256)
        if recorded and recorded != _digest(read_tensors(path, hint=REINSTALL)):
            raise WeightsError("was altered: its sha256 is not the one it was written with.", path=path, hint=REINSTALL)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
