"""The one reader of safetensors: tensors, or one error of the caller's kind."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import OvssError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_CHECK = "check"


def read_tensors(path: Path, *, error: type[OvssError] = WeightsError, hint: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Args:
        path: the file.
        error: what to raise.
        hint: what the user can do about it.

    Raises:
        error: the file is missing, cut off or no safetensors.
    """
    with _opened(path, error, hint) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_with_metadata(
    path: Path, *, error: type[OvssError] = WeightsError, hint: str | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The same, and the strings that stand in the file's header."""
    return read_tensors(path, error=error, hint=hint), read_header(path, error=error, hint=hint)


def read_header(path: Path, *, error: type[OvssError] = WeightsError, hint: str | None = None) -> dict[str, str]:
    """The strings that stand in its header; the tensors are not read. Raises as `read_tensors`."""
    with _opened(path, error, hint) as file:
        return dict(file.metadata() or {})


def seal(tensors: Mapping[str, Tensor], of: str) -> bytes:
    """A safetensors file's bytes that tell when a bit of them has changed, or when they stand in another's place.

    Args:
        of: what they belong to.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(plain, metadata={_CHECK: _checksum(plain, of)})


def unseal(data: bytes, of: str) -> dict[str, Tensor] | None:
    """The tensors that were sealed, or None if the bytes are cut off, changed, of something else or not finite."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, RecursionError):
        return None
    if metadata.get(_CHECK) != _checksum(tensors, of):
        return None
    floats = [tensor for tensor in tensors.values() if tensor.is_floating_point()]
    return tensors if all(bool(torch.isfinite(tensor).all()) for tensor in floats) else None


def _checksum(tensors: Mapping[str, Tensor], of: str) -> str:
    """CRC-32 of names, types, shapes and values: a tenth of the time that reading takes (SHA-256 a fifth)."""
    import torch

    found = zlib.crc32(of.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode(), found)
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"crc32 {found:08x}"


@contextmanager
def _opened(path: Path, error: type[OvssError], hint: str | None) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise error("cannot be read: there is no such file.", path=path, hint=hint) from None
    except OSError as failure:
        raise error(f"cannot be read ({failure}).", path=path, hint=hint) from failure
    except (SafetensorError, ValueError) as failure:
        raise error(
            f"cannot be read: it is truncated or no safetensors file ({failure}).", path=path, hint=hint
        ) from failure
