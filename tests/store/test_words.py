from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovss_personal.store.words import WordCache, clear_words


def test_words_come_back_to_the_bit(tmp_path: Path) -> None:
    words = {"mug": torch.randn(6), "__metadata__": torch.randn(6), "größte Tasse": torch.randn(6)}
    WordCache("base", tmp_path).add(words)
    WordCache("base", tmp_path).add({"tree": torch.ones(6)})
    found = WordCache("base", tmp_path).load()
    assert found.keys() == {*words, "tree"}
    assert all(torch.equal(found[word], vector) for word, vector in words.items())
    assert WordCache("another base", tmp_path).load() == {}


@pytest.mark.parametrize("damage", [b"", b"no tensors"])
def test_a_damaged_file_of_words_is_written_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "base.safetensors").write_bytes(damage)
    cache = WordCache("base", tmp_path)
    assert cache.load() == {}
    cache.add({"mug": torch.ones(6)})
    assert list(cache.load()) == ["mug"]


def test_words_that_were_changed_or_are_of_another_base_count_as_none(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    WordCache("base", tmp_path).add({"mug": torch.ones(6)})
    path = tmp_path / "base.safetensors"
    path.with_stem("other").write_bytes(path.read_bytes())
    assert WordCache("other", tmp_path).load() == {}
    save_file({name: -vector for name, vector in load_file(path).items()}, path)
    assert WordCache("base", tmp_path).load() == {}


def test_a_folder_that_takes_no_words_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = WordCache("base", tmp_path / "file")
    cache.add({"mug": torch.ones(6)})
    assert cache.load() == {}


def test_words_are_cleared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OVSS_PERSONAL_CACHE", str(tmp_path))
    WordCache("base").add({"mug": torch.ones(6)})
    size = (tmp_path / "words" / "base.safetensors").stat().st_size
    assert clear_words() == (1, size)
    assert clear_words() == (0, 0)
