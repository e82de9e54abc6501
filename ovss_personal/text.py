"""Text that may hold anything, made safe to print or to write: names of files, keys and values of others' files."""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any

__all__ = ["brief", "json_text", "printable"]

_ODD = re.compile(r"[^\x20-\x7e]")
_NOT_PLAIN = re.compile(r"[^\n\x20-\x7e]")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80  # characters
_SHORT.maxlevel = 2


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""One line that a terminal shows and does not obey: what is not printable, or not in `encoding`, escaped.

    Bytes of a file's name that are not UTF-8 become `\xNN`, other characters `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    >>> printable("caf\udce9 \x1b[2J")
    'caf\\xe9 \\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return _ODD.sub(lambda found: _escaped(found[0], encoding), text)


def json_text(value: object, encoding: str = "utf-8", indent: int | None = 2) -> str:
    r"""JSON that any parser reads: no lone surrogate, no control character, nothing that is not in `encoding`.

    Bytes of a file's name that are not UTF-8 stand in it as the text `\xNN`, as `printable` has them.

    Raises:
        ValueError: a number is not finite, which is a bug of the caller.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _NOT_PLAIN.sub(lambda found: _in_json(found[0], encoding), text)


def brief(value: Any) -> str:
    """A value of a user's file as a message may quote it: its repr, cut off in length and depth."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of more digits than Python turns into text
        return "a number of thousands of digits"


def _escaped(character: str, encoding: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode hands it on
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable() and _fits(character, encoding):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(character: str, encoding: str) -> str:
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        return "\\" + _escaped(character, encoding)
    if character.isprintable() and _fits(character, encoding):
        return character
    return json.dumps(character)[1:-1]


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
