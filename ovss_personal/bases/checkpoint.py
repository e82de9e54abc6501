"""A checkpoint that somebody published: read as tensors alone, held to its manifest, written as safetensors."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovss_personal.errors import OvssWarning, WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

# What the loader says it would have to import, and what of that PyTorch Lightning's checkpoints hold.
_ASKED = re.compile(r"GLOBAL (\S+)")
_LEFT_BY_TRAINING = ("pytorch_lightning.", "numpy.", "_codecs.")
_TYPE_NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint must hold.

    Attributes:
        tensors: name -> shape and number type, as "240x3x16x16 float32" or "scalar float", where any float will do.
        constants: names of tensors that may be there too and are of no use.
    """

    tensors: Mapping[str, str]
    constants: frozenset[str]

    def differences(self, tensors: Mapping[str, Tensor], open_ended: bool = False) -> list[str]:
        """A clause for each tensor that is missing, of another shape or type, or, unless that is `open_ended`, not in
        the manifest.
        """
        clauses = []
        for name, expected in self.tensors.items():
            found = _describe(tensors[name]) if name in tensors else "missing"
            if not found.startswith(expected):
                clauses.append(f"{name} is {found}, not {expected}")
        if open_ended:
            return clauses
        unknown = tensors.keys() - self.tensors.keys() - self.constants
        return clauses + [f"{name} is not known" for name in sorted(unknown)]


def read_manifest(path: Path) -> Manifest:
    """The manifest in a TSV of key, shape, dtype and, where some are constants, state; `#` begins a comment."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader((line for line in stream if not line.startswith("#")), delimiter="\t"))
    return Manifest(
        tensors={row["key"]: f"{row['shape']} {row['dtype']}" for row in rows if row.get("state") != "const"},
        constants=frozenset(row["key"] for row in rows if row.get("state") == "const"),
    )


def read_checkpoint(path: Path, scripted: bool = False) -> dict[str, Tensor]:
    """The state dict in a PyTorch checkpoint: all of the file, or what is under its key `model` or `state_dict`.

    Runs no code of it. The tensors stay in the file until they are used.

    Args:
        path: the file.
        scripted: it may also be a TorchScript archive, of which this cannot be said: for files that are known.

    Raises:
        WeightsError: the file is cut off, is no checkpoint, or holds anything that could be code.
    """
    import torch

    zipped = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles, which are either read or refused
            if scripted and zipped and _is_script(path):
                held = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
            else:
                held = _load_tensors(path, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle fails in any way there is
        asked = _ASKED.search(str(error))
        if asked:
            message = f"wants '{asked[1]}' to be run, which tensors do not need; it was not loaded."
        else:
            message = "is cut off, or is no PyTorch checkpoint that holds tensors alone."
        raise WeightsError(message, path=path, hint="Fetch it again from where it was published.") from error
    state = held
    for key in ("model", "state_dict"):
        state = state.get(key, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise WeightsError("holds no state dict, neither as a whole nor under 'model' or 'state_dict'.", path=path)
    return state


def _is_script(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _load_tensors(path: Path, mmap: bool) -> Any:
    """`torch.load` of tensors alone; of what a training loop leaves beside them, empty classes take the place."""
    import torch

    stand_ins: dict[str, type] = {}
    while True:
        try:
            with torch.serialization.safe_globals(list(stand_ins.values())):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        except Exception as error:
            asked = _ASKED.search(str(error))
            if asked is None or asked[1] in stand_ins or not asked[1].startswith(_LEFT_BY_TRAINING):
                raise
            module, _, name = asked[1].rpartition(".")
            stand_ins[asked[1]] = type(name, (_Nothing,), {"__module__": module, "__qualname__": name})


class _Nothing:
    """What it was given is forgotten."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], *, spare: bool = False) -> None:
    """Put the tensors in the place of the module's own, in the types that those have.

    Args:
        spare: there may be others, for which it has no place; they are warned of (OvssWarning).

    Raises:
        ValueError: a tensor is missing, unknown, of another shape or not finite; a clause for each of these.
    """
    own = module.state_dict()
    missing, extra = [name for name in own if name not in tensors], [name for name in tensors if name not in own]
    wrong = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    clauses = [f"{len(missing)} missing, such as {missing[0]}"] if missing else []
    if extra and not spare:
        clauses.append(f"{len(extra)} unknown, such as {extra[0]}")
    if wrong:
        found, expected = (tuple(of[wrong[0]].shape) for of in (tensors, own))
        clauses.append(f"{len(wrong)} of another shape, such as {wrong[0]}, which is shaped {found}, not {expected}")
    if clauses:
        raise ValueError("; ".join(clauses))
    for name in own:
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{name} holds a value that is not finite")
    if extra:
        warnings.warn(f"{len(extra)} tensors are of no use here, such as '{extra[0]}'.", OvssWarning, stacklevel=2)
    module.load_state_dict({name: tensors[name].to(own[name].dtype) for name in own}, assign=True)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file, a tensor at a time; returns the sha256 of its bytes.

    By hand, since the library's `save_file` makes a full disk an error of its own and the file unreadable for others,
    and its `save` needs the memory of the tensors twice.
    """
    import torch

    header, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        kind = _TYPE_NAMES[_type_name(tensor)]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    digest = hashlib.sha256()
    with open(path, "wb") as stream:
        for chunk in (len(text).to_bytes(8, "little"), text):
            digest.update(chunk)
            stream.write(chunk)
        for tensor in tensors.values():
            data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data
            digest.update(data)
            stream.write(data)
    return digest.hexdigest()


def _describe(tensor: Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape)) or 'scalar'} {_type_name(tensor)}"


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
