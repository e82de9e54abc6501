"""What kind of thing each sequence or object of a data set is: lines of `name: class word`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ovss_personal.benchmarks.choice import class_lines, listed
from ovss_personal.errors import InputError
from ovss_personal.io.vocabulary import check_word

PLACES = ("tree", "grass", "road")


def words_among(classes: Iterable[str]) -> tuple[str, ...]:
    """The words to test among: what many photos show behind a thing, then the class words, each once, sorted."""
    return tuple(dict.fromkeys((*PLACES, *sorted(classes))))


def named_classes(shipped: str | None, file: Path | None) -> dict[str, str]:
    """Name -> class word, of a table that ships with the program, then of a file, which has the last word.

    Args:
        shipped: the table's name; None is none.
        file: UTF-8 text, a name a line; empty lines and those that begin with # are passed over.

    Raises:
        InputError: the file cannot be read, or a line of it is not `name: class word`.
    """
    classes = _parsed(class_lines(shipped), None) if shipped else {}
    if file is not None:
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise InputError(f"the classes cannot be read: {reason}.", path=file) from error
        classes |= _parsed(lines, file)
    return classes


def check_known(names: list[str], classes: Mapping[str, str], what: str, root: Path) -> None:
    """Raises InputError unless each of the names has a class; `what` are they, in the plural?"""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise InputError(
            f"nobody says what is seen in {len(unknown)} of the {len(names)} {what}: {listed(unknown)}.",
            path=root,
            hint=f"Write a line '{unknown[0]}: CLASS WORD' for each into a file, and pass it with --classes.",
        )


def _parsed(lines: list[str], file: Path | None) -> dict[str, str]:
    classes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, word = line.partition(":")
        if not (colon and name.strip() and word.strip()):
            raise InputError(f"line {number} is not 'name: class word', but '{line.strip()[:60]}'.", path=file)
        classes[name.strip()] = check_word(word, f"the class word in line {number}")
    return classes
