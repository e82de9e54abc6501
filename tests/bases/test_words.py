from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ovss_personal.bases.words import Words
from ovss_personal.errors import VocabularyError
from ovss_personal.store.words import WordCache


class Letters:
    """Encodes a word by its length; counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, word: str) -> Tensor:
        self.asked.append(word)
        if word == "long":
            raise VocabularyError("'long' is too long.")
        return torch.full((2,), float(len(word)))


def test_each_word_is_encoded_once_and_comes_in_the_order_given() -> None:
    encode = Letters()
    words = Words(encode, 2)
    assert words(["mug", "a", "mug"]).tolist() == [[3, 3], [1, 1], [3, 3]]
    assert words(["a", "tree"]).tolist() == [[1, 1], [4, 4]]
    assert encode.asked == ["mug", "a", "tree"]
    assert words([]).shape == (0, 2)


def test_what_one_run_encoded_another_reads(tmp_path: Path) -> None:
    Words(Letters(), 2, WordCache("base", tmp_path))(["mug"])
    encode = Letters()
    again = Words(encode, 2, WordCache("base", tmp_path))
    assert again(["mug", "a"]).tolist() == [[3, 3], [1, 1]] and encode.asked == ["a"]
    assert WordCache("base", tmp_path).load().keys() == {"mug", "a"}
    Words(encode, 2, WordCache("another base", tmp_path))(["mug"])
    assert encode.asked == ["a", "mug"]


def test_the_table_comes_before_the_cache_and_both_are_read_only_when_needed(tmp_path: Path) -> None:
    WordCache("base", tmp_path).add({"mug": torch.zeros(2), "cup": torch.zeros(2)})
    read: list[str] = []

    def table() -> dict[str, Tensor]:
        read.append("table")
        return {"mug": torch.ones(2)}

    cache = WordCache("base", tmp_path)
    encode = Letters()
    words = Words(encode, 2, cache, table)
    words([])
    assert read == []
    assert words(["mug"]).tolist() == [[1, 1]] and read == ["table"]
    assert words(["cup", "mug"]).tolist() == [[0, 0], [1, 1]] and read == ["table"] and not encode.asked


def test_a_remembered_vector_of_another_length_counts_for_nothing(tmp_path: Path) -> None:
    WordCache("base", tmp_path).add({"mug": torch.zeros(5)})
    assert Words(Letters(), 2, WordCache("base", tmp_path))(["mug"]).tolist() == [[3, 3]]


def test_a_word_that_cannot_be_read_keeps_its_own_error(tmp_path: Path) -> None:
    words = Words(Letters(), 2, WordCache("base", tmp_path))
    with pytest.raises(VocabularyError, match="'long' is too long"):
        words(["mug", "long"])
    assert words(["mug"]).tolist() == [[3, 3]]
