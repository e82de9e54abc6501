"""What the fields of a concept's JSON may hold: each is checked for its type and range, whoever wrote the file."""

from __future__ import annotations

import math
from typing import Any

from ovss_personal.text import brief

MAX_WORDS = 10_000
MAX_SHOTS = 10_000
_MAX_TEXT = 300  # characters


def listed(value: Any, name: str, most: int) -> list[Any]:
    """Raises TypeError or ValueError unless it is a list of at most so many."""
    if not isinstance(value, list):
        raise TypeError(f"'{name}' is {brief(value)}, not a list")
    if len(value) > most:
        raise ValueError(f"'{name}' has {len(value)} entries, over {most}")
    return value


def share(value: Any, name: str) -> float:
    """Raises TypeError or ValueError unless it is a number in [0, 1]."""
    if not 0 <= number(value, name) <= 1:
        raise ValueError(f"'{name}' is {brief(value)}, not in [0, 1]")
    return float(value)


def number(value: Any, name: str) -> float:
    """Raises TypeError or ValueError unless it is a number that is finite as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"'{name}' is {brief(value)}, not a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"'{name}' is {brief(value)}, not a finite number")
    return found


def count(value: Any, name: str) -> int:
    """Raises TypeError or ValueError unless it is a whole number from 0 to a billion."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"'{name}' is {brief(value)}, not a whole number")
    if not 0 <= value <= 10**9:
        raise ValueError(f"'{name}' is {brief(value)}, not from 0 to a billion")
    return value


def text_of(value: Any, name: str) -> str:
    """Raises TypeError unless it is one short line of text."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _MAX_TEXT:
        raise TypeError(f"'{name}' is {brief(value)}, not a short text")
    return value


def losses_of(value: Any) -> dict[str, float]:
    """Raises TypeError or ValueError unless it is a JSON object of finite numbers."""
    if not isinstance(value, dict):
        raise TypeError(f"'losses' is {brief(value)}, not a JSON object")
    return {text_of(name, "losses"): number(loss, "losses") for name, loss in value.items()}
