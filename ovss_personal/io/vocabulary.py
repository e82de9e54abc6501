"""Lists of words: what the user typed, a file of theirs, or a named vocabulary that ships with the program."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from ovss_personal.errors import OvssWarning, VocabularyError

FOLDER = Path(__file__).parent / "vocabularies"
NAMED = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
MAX_LENGTH = 300  # characters; the text encoder has the last word on what is too long


def named_words(name: str) -> tuple[str, ...]:
    """The words of a vocabulary that ships with the program, in its own order."""
    return tuple((FOLDER / f"{name}.txt").read_text("utf-8").splitlines())


def resolve_words(text: str) -> tuple[str, ...]:
    """Words from a comma-separated list, the name of a vocabulary (`coco-stuff`), or a .txt file, one a line.

    Raises:
        VocabularyError: a word is empty or too long, or the file cannot be read.
    """
    if text in NAMED:
        return named_words(text)
    if text.endswith(".txt"):
        try:
            lines = Path(text).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise VocabularyError(f"cannot be read ({error}).", path=text) from error
        return check_words(line for line in lines if line.strip())
    return check_words(text.split(",") if text.strip() else ())


def check_words(words: Iterable[str]) -> tuple[str, ...]:
    """The words stripped, in their order; duplicates are dropped with a warning.

    Raises:
        VocabularyError: a word is empty, has a line break or is too long.
    """
    kept: dict[str, None] = {}
    for word in words:
        name = check_word(word, "a word")
        if name in kept:
            warnings.warn(f"the word '{name}' is given twice; the second is dropped.", OvssWarning, stacklevel=2)
        kept[name] = None
    return tuple(kept)


def check_word(word: str, what: str) -> str:
    """`word` stripped. Raises VocabularyError, saying `what` it is, unless it is one short line of text."""
    name = word.strip()
    if not name:
        raise VocabularyError(f"{what} is empty.", hint="give it at least one letter, and no two commas in a row.")
    if not name.isprintable() or len(name) > MAX_LENGTH:
        raise VocabularyError(f"{what} must be one line of at most {MAX_LENGTH} characters: {name[:40]!r}…")
    return name


def check_concepts(concepts: Sequence[str], words: Sequence[str]) -> None:
    """Raises VocabularyError if two concepts have one name, or a concept that of a word."""
    for i, name in enumerate(concepts):
        if name in words or name in concepts[:i]:
            other = "a word of the vocabulary" if name in words else "another concept"
            raise VocabularyError(
                f"the concept '{name}' has the same name as {other}.", hint="call it something else with --as."
            )
