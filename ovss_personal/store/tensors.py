"""The one reader of safetensors: tensors, or one error of the caller's kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import OvssError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor


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


def decode_tensors(data: bytes) -> dict[str, Tensor] | None:
    """The tensors of a safetensors file's bytes, or None if they are cut off or no safetensors."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(data)
    except (SafetensorError, ValueError):
        return None
    return tensors


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
