"""Networks and training states on disk: safetensors for ours, the official `.pth` files read without running code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ovss_personal.bases.checkpoint import load_strictly, read_checkpoint
from ovss_personal.errors import WeightsError
from ovss_personal.pss.network import OFFICIAL, Backbone, NetworkConfig, Segmenter
from ovss_personal.store.files import atomic_write
from ovss_personal.store.tensors import read_with_metadata

# An entry that only this backbone has.
_SIGNS: dict[Backbone, str] = {
    "resnet50": "encoder.layer4.0.conv1.weight",
    "vgg16": "encoder.layer4.24.weight",
    "lite2": "encoder.layer4.0.0.conv_pw.weight",
}


def load_network(path: str | Path, backbone: str | None = None, device: str = "cpu") -> Segmenter:
    """A trained network in evaluation mode.

    Args:
        path: `network.safetensors` of `pss adapt`, which knows what network it is, or an official `.pth`, which is
            loaded as the published code's network (`compat`, group context).
        backbone: what the file is expected to hold; anything if left out.

    Raises:
        WeightsError: the file is missing or broken, holds another backbone, lacks an entry, has one too many or one
            of another shape, or a value that is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError("there is no such checkpoint.", path=path, hint="Check the spelling.")
    if path.suffix == ".safetensors":
        tensors, metadata = read_with_metadata(path)
        config = _config(path, metadata)
    else:
        tensors, config = _official(path), OFFICIAL
    found = next((name for name, sign in _SIGNS.items() if sign in tensors), None)
    if found is None:
        raise WeightsError("this is no PSS network: it has the layers of none of its backbones.", path=path)
    if backbone is not None and backbone != found:
        raise WeightsError(
            f"this is a checkpoint of a {found} network, not of the expected {backbone}.",
            path=path,
            hint=f"Pass --backbone {found}, or name another file.",
        )
    with torch.device("meta"):
        network = Segmenter(replace(config, backbone=found))
    try:
        load_strictly(network, tensors)
    except ValueError as error:
        backbone = network.config.backbone
        raise WeightsError(f"the entries are not those of a {backbone} network: {error}.", path=path) from None
    return network.to(device).eval()


def save_network(path: Path, network: Segmenter, training: str) -> None:
    """Write a network and, as JSON, how it was trained.

    Raises OutputError or ResourceError where `path` cannot be written.
    """
    write_tensors(path, network.state_dict(), {"network": network.config.to_json(), "training": training})


def training_of(path: Path) -> dict[str, Any]:
    """The settings that a network was trained with; empty for an official `.pth`. Raises as `read_with_metadata`."""
    if path.suffix != ".safetensors":
        return {}
    settings: dict[str, Any] = json.loads(read_with_metadata(path)[1].get("training", "{}"))
    return settings


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save

    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    atomic_write(path, save(plain, metadata))


def _config(path: Path, metadata: Mapping[str, str]) -> NetworkConfig:
    try:
        return NetworkConfig(**json.loads(metadata["network"]))
    except (KeyError, TypeError, ValueError):
        raise WeightsError("this is no network that `pss adapt` wrote.", path=path) from None


def _official(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.pth`, without the prefix of its data-parallel wrapper."""
    state = read_checkpoint(path)
    return {name.removeprefix("module."): value for name, value in state.items()}
