from __future__ import annotations

from pathlib import Path

import pytest

from ovss_personal.errors import OvssWarning, VocabularyError
from ovss_personal.io.vocabulary import NAMED, check_concepts, check_word, check_words, named_words, resolve_words


def test_words_keep_their_order_and_lose_their_margins() -> None:
    assert resolve_words(" tree, wet grass ,bird") == ("tree", "wet grass", "bird")
    assert resolve_words("") == resolve_words("  ") == ()


def test_a_word_given_twice_is_dropped_with_a_warning() -> None:
    with pytest.warns(OvssWarning, match="'tree' is given twice"):
        assert check_words(["tree", "bird", "tree "]) == ("tree", "bird")


def test_the_shipped_vocabulary() -> None:
    words = resolve_words("coco-stuff")
    assert "coco-stuff" in NAMED
    assert len(words) == len(set(words)) == 171
    assert words == named_words("coco-stuff") == check_words(words)
    assert {"person", "grass"} <= set(words)


def test_a_file_has_a_word_a_line(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("tree\r\n\r\n  café, sunlit\n犬".encode())
    assert resolve_words(str(path)) == ("tree", "café, sunlit", "犬")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyError, match="cannot be read") as caught:
        resolve_words(str(path))
    assert caught.value.path == str(path) and caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "the name is empty"),
        (" \t", "the name is empty"),
        ("my\nmug", "one line of at most 300"),
        ("my\x1b[31mmug", "one line"),
        ("m" * 301, "at most 300"),
    ],
)
def test_words_that_are_none(word: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        check_word(word, "the name")


def test_an_empty_word_between_commas_is_an_error() -> None:
    with pytest.raises(VocabularyError, match="a word is empty"):
        resolve_words("tree,,bird")


@pytest.mark.parametrize(
    ("concepts", "message"),
    [(["bird"], "'bird' has the same name as a word"), (["a", "a"], "'a' has the same name as another concept")],
)
def test_a_clash_of_names_says_with_whom(concepts: list[str], message: str) -> None:
    check_concepts(["my bird", "your bird"], ["bird"])
    with pytest.raises(VocabularyError, match=message) as caught:
        check_concepts(concepts, ["bird"])
    assert "--as" in (caught.value.hint or "")
