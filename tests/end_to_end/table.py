"""The table of bad inputs in the docs, made from the rows that are tested.

PYTHONPATH=tests python -m end_to_end.table > docs/bad_inputs.md
"""

from __future__ import annotations

from end_to_end.bad_exports import BAD_EXPORTS
from end_to_end.bad_files import BAD_FILES, ODD_FILES
from end_to_end.bad_requests import BAD_REQUESTS, ODD_REQUESTS

BAD = [*BAD_FILES, *BAD_EXPORTS, *BAD_REQUESTS]
ODD = [*ODD_FILES, *ODD_REQUESTS]

HEAD = """# What becomes of bad input

Each row is a test: what is wrong, what is typed, the exit code, and a part of the one line that is printed (a second
one says what to do). Nothing is written then. With `--json` the same is printed as
`{"error": {"code", "message", "path", "hint"}}`.

This page is made from the tests: `PYTHONPATH=tests python -m end_to_end.table > docs/bad_inputs.md`.

| what is wrong | command | exit code | what is said |
|---|---|---|---|
"""
ODD_HEAD = """
## What is used all the same, with a warning

| what is odd | command | what is said |
|---|---|---|
"""


def table() -> str:
    bad = "".join(f"| {cell(row.what)} | {code(row.command)} | {row.code} | {cell(row.says)} |\n" for row in BAD)
    odd = "".join(f"| {cell(row.what)} | {code(row.command)} | {cell(row.says)} |\n" for row in ODD)
    return HEAD + bad + ODD_HEAD + odd


def cell(text: str) -> str:
    """Text that cannot end a cell, or a line, or be taken for markup or a character that no terminal shows."""
    visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shortened(text))
    return (
        visible.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    )


def code(text: str) -> str:
    visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shortened(text))
    return "`` " + visible.replace("|", "\\|") + " ``"


def shortened(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:60]} … {text[-50:]}"


if __name__ == "__main__":
    print(table(), end="")
