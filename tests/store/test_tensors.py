from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ovss_personal.errors import ConceptError, WeightsError
from ovss_personal.store.tensors import decode_tensors, read_tensors, read_with_metadata

TENSORS = {"a": torch.arange(3), "b": torch.zeros(2, 2, dtype=torch.float16)}
DATA = save(TENSORS, {"made": "here"})


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(DATA)
    tensors, metadata = read_with_metadata(path)
    for found in (tensors, read_tensors(path), decode_tensors(DATA)):
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
    assert decode_tensors(damaged) is None


@pytest.mark.parametrize("name", ["missing.safetensors", ".", "file/x.safetensors"])
def test_what_is_no_file_is_the_same_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be read"):
        read_tensors(tmp_path / name)
