"""All that the program prints. Names, keys and files of others are in it, so every line is escaped here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from ovss_personal.errors import OvssError
from ovss_personal.text import json_text, printable

if TYPE_CHECKING:
    from ovss_personal.structures import Progress


def say(text: str = "") -> None:
    """One line on stdout; a line break in it is escaped as well."""
    _line(sys.stdout, text)


def say_lines(text: str) -> None:
    """Several lines on stdout, such as a table."""
    for line in text.removesuffix("\n").split("\n"):
        say(line)


def print_json(value: object) -> None:
    """Print as JSON, whose numbers are all finite: one that is not is a bug of the caller."""
    sys.stdout.write(json_text(value, _encoding(sys.stdout)) + "\n")


def note(text: str) -> None:
    """A line on stderr: for the reader, not for a program."""
    _line(sys.stderr, text)


def at_once(text: str) -> None:
    """A line for who watches a terminal, before what takes a second: torch is imported next, then a base is loaded."""
    if sys.stderr.isatty():
        note(text)


def print_error(error: OvssError) -> None:
    note(f"error: {one_line(str(error))}")
    if error.hint:
        note(f"hint: {one_line(error.hint)}")


def print_traceback() -> None:
    """Of the exception that is being handled."""
    import traceback

    for line in traceback.format_exc().split("\n"):
        note(line)


def one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A callback that draws a bar on a terminal once two seconds have passed, and nothing elsewhere."""
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def show(done: int, total: int, stage: str) -> None:
        if stage not in bars:
            close()
            bars[stage] = tqdm(total=total, desc=stage, delay=2, leave=False, disable=not sys.stderr.isatty())
        bars[stage].update(done - bars[stage].n)

    def close() -> None:
        for bar in bars.values():
            bar.close()
        bars.clear()

    try:
        yield show
    finally:
        close()


def _line(stream: TextIO, text: str) -> None:
    stream.write(printable(text, _encoding(stream)) + "\n")


def _encoding(stream: TextIO) -> str:
    return stream.encoding or "utf-8"
