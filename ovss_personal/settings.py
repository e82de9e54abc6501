"""The reading of a flat YAML of settings, with the line of each key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from ovss_personal.errors import ConfigError

MAX_BYTES = 2**20  # of a YAML


def check_keys(path: Path, lines: Mapping[str, int], known: Set[str]) -> None:
    """Raises ConfigError for a key of a file that is not `known`, with its line and the likeliest one meant."""
    for key, line in lines.items():
        if key not in known:
            close = difflib.get_close_matches(key, sorted(known), n=1)
            raise ConfigError(
                f"line {line}: '{key}' is not a setting.",
                path=path,
                hint=f"Did you mean '{close[0]}'?" if close else f"The settings are {', '.join(sorted(known))}.",
            )


def read_mapping(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a flat YAML mapping, and the line of each key. A value that is neither a scalar nor a list of them
    comes back as something that is of no setting's type: nothing nested is built, however small it was written."""
    import yaml

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"is larger than {MAX_BYTES} bytes, and no configuration is.", path=path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such configuration file.", path=path) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read as UTF-8 text: {error}.", path=path) from None
    try:
        # The nodes know the lines and keep a repeated key, which a loaded dict does not.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"not valid YAML: {_where(error)}.", path=path) from None
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise ConfigError(f"expected lines of 'key: value', found {found}.", path=path)
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    loader = yaml.SafeLoader("")
    for key_node, value_node in root.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"line {line}: a key must be a single word.", path=path)
        key = key_node.value
        if key in lines:
            raise ConfigError(f"line {line}: '{key}' is already set in line {lines[key]}.", path=path)
        lines[key] = line
        items = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        if not all(isinstance(item, yaml.ScalarNode) for item in items):
            values[key] = _Nested()
            continue
        try:
            values[key] = loader.construct_object(value_node, deep=True)
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:  # such as a date of 2025-99-99
            raise ConfigError(f"not valid YAML: {_where(error)}.", path=path) from None
    return values, lines


class _Nested:
    """A value that no setting has."""

    def __repr__(self) -> str:
        return "something nested"


def _where(error: Exception) -> str:
    """The problem and its line, without the excerpt that PyYAML draws over several lines."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}: {problem}"
