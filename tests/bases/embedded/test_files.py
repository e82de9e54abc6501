from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ovss_personal.bases.embedded.files import WEIGHTS, header, load, save, sha256, verify
from ovss_personal.errors import WeightsError


def test_what_is_saved_comes_back_with_its_sha256(tmp_path: Path) -> None:
    tensors = {"kernel": torch.tensor([[0.1, 2.0]]).half(), "count": torch.tensor(7), "bias": torch.ones(3)}
    save(tmp_path / "a.safetensors", tensors, {"words": "a\nb"})
    found = load(tmp_path / "a.safetensors")
    assert found["kernel"].dtype == torch.float32 and torch.equal(found["kernel"].half(), tensors["kernel"])
    assert found["count"].dtype == torch.int64 and int(found["count"]) == 7
    assert header(tmp_path / "a.safetensors")["words"] == "a\nb"
    # The same tensors in another order are the same; another number, name or type is not.
    save(tmp_path / "b.safetensors", dict(reversed(tensors.items())), {})
    assert sha256(tmp_path / "b.safetensors") == sha256(tmp_path / "a.safetensors")
    others = [{**tensors, "count": torch.tensor(8)}, {**tensors, "more": torch.ones(1)}]
    others.append({**tensors, "kernel": tensors["kernel"].float()})
    for other in others:
        save(tmp_path / "b.safetensors", other, {})
        assert sha256(tmp_path / "b.safetensors") != sha256(tmp_path / "a.safetensors")


def test_a_file_without_a_recorded_sha256_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file({"a": torch.ones(3)}, path)
    first = sha256(path)
    save_file({"a": torch.zeros(3)}, path)
    assert sha256(path) != first


def test_the_shipped_files_are_what_their_headers_were_written_for() -> None:
    verify()
    recorded = {path.stem for path in WEIGHTS.glob("*.safetensors") if "sha256" in header(path)}
    assert recorded == {"encoder", "text", "words", "fit_words", "word_rows"}


def test_an_altered_file_is_found(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS / "words.safetensors", tmp_path)
    verify(tmp_path)
    data = bytearray((tmp_path / "words.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "words.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="was altered") as caught:
        verify(tmp_path)
    assert "--force-reinstall" in (caught.value.hint or "")


def test_others_models_are_named_with_their_sources() -> None:
    text = (WEIGHTS / "README.md").read_text("utf-8")
    for name in ("encoder", "text"):
        told = header(WEIGHTS / f"{name}.safetensors")
        assert told["source"] in text and told["source_sha256"] in text
    assert all(
        tensor.dim() < 2 or tensor.dtype == torch.float16 for tensor in load_file(WEIGHTS / "text.safetensors").values()
    )
