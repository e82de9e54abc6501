from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ovss_personal.errors import ConceptError, WeightsError
from ovss_personal.store.tensors import read_tensors, read_with_metadata, seal, unseal

TENSORS = {"a": torch.arange(3), "b": torch.zeros(2, 2, dtype=torch.float16)}
DATA = save(TENSORS, {"made": "here"})


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(DATA)
    tensors, metadata = read_with_metadata(path)
    for found in (tensors, read_tensors(path), unseal(seal(TENSORS, "x"), "x")):
        assert found is not None and found.keys() == TENSORS.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert metadata == {"made": "here"}
    path.write_bytes(save(TENSORS))
    assert read_with_metadata(path)[1] == {}


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], DATA + b"more", b"no safetensors at all"])
def test_a_damaged_file_is_one_error_of_the_caller_s_kind(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(damaged)
    with pytest.raises(WeightsError, match="truncated or no safetensors file"):
        read_tensors(path)
    with pytest.raises(ConceptError, match="truncated or no safetensors file") as caught:
        read_tensors(path, error=ConceptError, hint="learn it again.")
    assert caught.value.path == str(path) and caught.value.hint == "learn it again."
    assert unseal(damaged, "x") is None


def test_what_was_not_sealed_or_belongs_elsewhere_is_none() -> None:
    assert unseal(DATA, "x") is None
    assert unseal(seal(TENSORS, "x"), "y") is None


def test_no_bit_of_a_sealed_file_may_change() -> None:
    data = seal(TENSORS, "x")
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        found = unseal(bytes(changed), "x")
        if found is not None:  # white space in the header says nothing
            assert found.keys() == TENSORS.keys()
            assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
            assert all(found[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_none(value: float) -> None:
    assert unseal(seal({"a": torch.tensor([1.0, value])}, "x"), "x") is None


@pytest.mark.parametrize("name", ["missing.safetensors", ".", "file/x.safetensors"])
def test_what_is_no_file_is_the_same_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be read"):
        read_tensors(tmp_path / name)
