"""Checkpoints as others publish them, sound and otherwise."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from fakes.checkpoints import CONSTANT, saved, tiny, tiny_spec
from safetensors.torch import load_file

from ovss_personal.bases.checkpoint import Manifest, read_checkpoint, read_manifest, write_safetensors
from ovss_personal.bases.weights import WEIGHTS
from ovss_personal.errors import WeightsError
from ovss_personal.io.files import sha256_file


class Hostile:
    """Makes the folder `ran` when a pickle of it is loaded as pickles are."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.ran),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tiny.pth"


@pytest.mark.parametrize(
    "content",
    [tiny(), {"model": tiny()}, {"model": tiny(), "optimizer": {"lr": [0.1]}, "scheduler": {}, "iteration": 60000}],
    ids=["bare", "model", "training"],
)
def test_both_layouts_are_read(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(saved(content))
    found = read_checkpoint(path)
    assert found.keys() == tiny().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tiny().items())


def test_the_old_file_format_is_read(path: Path) -> None:
    torch.save({"model": tiny()}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(path)["bias"], tiny()["bias"])


@pytest.mark.parametrize("layout", ["checkpoint", "plain pickle"])
def test_code_in_a_pickle_is_not_run(path: Path, layout: str) -> None:
    hostile = {"model": tiny(), "extra": Hostile(path.with_name("ran"))}
    path.write_bytes(saved(hostile) if layout == "checkpoint" else pickle.dumps(hostile["extra"], 2))
    with pytest.raises(WeightsError, match=r"wants '\w+\.mkdir' to be run") as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 4 and caught.value.path == str(path)
    assert not path.with_name("ran").exists()
    pickle.loads(pickle.dumps(hostile["extra"]))
    assert path.with_name("ran").exists(), "the pickle would have run code"


def test_what_pytorch_lightning_leaves_beside_the_tensors_is_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class as a key and an array's number, neither of which is imported."""
    module = ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    kept = type("ModelCheckpoint", (), {"__module__": module.__name__})
    monkeypatch.setattr(module, "ModelCheckpoint", kept, raising=False)
    with monkeypatch.context() as patch:
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
            patch.setitem(sys.modules, name, module)
        content = saved({"callbacks": {kept: {"best": np.float64(0.5)}, "last": kept()}, "state_dict": tiny()})
    path.write_bytes(content)
    found = read_checkpoint(path)
    assert found.keys() == tiny().keys() and all(torch.equal(found[k], v) for k, v in tiny().items())
    assert module.__name__ not in sys.modules


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", saved(tiny())[:-100], saved(tiny())[:500], b"PK\x03\x04", b"\x80\x02."],
    ids=["empty", "a page", "cut near the end", "cut near the beginning", "four bytes", "an empty pickle"],
)
def test_what_is_no_whole_checkpoint(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cut off, or is no PyTorch checkpoint that holds tensors alone") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"model": 3}, {"model": {"bias": 0.5}}, {1: torch.ones(1)}, 7])
def test_what_holds_no_state_dict(path: Path, content: object) -> None:
    path.write_bytes(saved(content))
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_checkpoint(path)


def test_differences_name_each_tensor(tmp_path: Path) -> None:
    manifest = tiny_spec(tmp_path).read_manifest()
    assert manifest.constants == {CONSTANT} and manifest.tensors["scale"] == "scalar float32"
    assert manifest.differences(tiny()) == []
    assert manifest.differences({**tiny(), CONSTANT: torch.ones(9)}) == []
    odd = {**tiny(), "bias": torch.zeros(3, 1), "scale": torch.tensor(4), "z": torch.ones(1)}
    del odd["block.0.weight"]
    assert manifest.differences(odd) == [
        "block.0.weight is missing, not 3x40 float32",
        "bias is 3x1 float32, not 3 float32",
        "scale is scalar int64, not scalar float32",
        "z is not known",
    ]


def test_the_manifests_of_san() -> None:
    small, large = (WEIGHTS[name].read_manifest() for name in ("san_vit_b_16", "san_vit_large_14"))
    constants = {"criterion.empty_weight", "ov_classifier.attn_mask"}
    assert small.constants == large.constants == constants
    assert (len(small.tensors), len(large.tensors)) == (442 - 2, 586 - 2)
    assert small.tensors["ov_classifier.logit_scale"] == "scalar float32"
    assert values(small) == 157846408 - 172 - 77 * 77 and values(large) == 436681096 - 172 - 77 * 77


def values(manifest: Manifest) -> int:
    """How many numbers all its tensors hold."""
    total = 0
    for text in manifest.tensors.values():
        shape = text.split()[0]
        total += 1 if shape == "scalar" else int(torch.tensor([int(n) for n in shape.split("x")]).prod())
    return total


def test_a_manifest_without_constants(tmp_path: Path) -> None:
    path = tmp_path / "keys.tsv"
    path.write_text("key\tshape\tdtype\tkind\na\t2x3\tint64\tbuffer\n", "utf-8")
    assert read_manifest(path) == Manifest({"a": "2x3 int64"}, frozenset())


def test_safetensors_are_those_that_the_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "count": torch.tensor(2**40),
        "empty": torch.zeros(0, 4),
        "half": torch.tensor([0.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.5], dtype=torch.bfloat16),
    }
    assert write_safetensors(path, tensors) == sha256_file(path)
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
