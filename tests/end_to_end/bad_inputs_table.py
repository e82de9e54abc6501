"""docs/bad_inputs.md, made of the rows that the tests run: `PYTHONPATH=tests python -m end_to_end.bad_inputs_table`."""

from __future__ import annotations

from pathlib import Path

from end_to_end.bad_files import BAD_FILES, ODD_FILES
from end_to_end.bad_requests import BAD_REQUESTS, ODD_REQUESTS
from end_to_end.sound import PERSONALIZE, SEGMENT

PAGE = Path(__file__).parents[2] / "docs" / "bad_inputs.md"
_MOST = 110  # characters of a command or message


def page() -> str:
    """What the page must be."""
    lines = [
        "# Bad inputs",
        "",
        "Made by `PYTHONPATH=tests python -m end_to_end.bad_inputs_table` of the rows that `tests/end_to_end/` runs; a",
        "test holds the two together. In each row one thing is wrong in a folder in which every command succeeds",
        f"(`PERSONALIZE` is `{PERSONALIZE}`,",
        f"`SEGMENT` is `{SEGMENT}`). Nothing is written, and the error is one line that says so.",
        "",
        "| what is bad | command | exit code | the error says |",
        "|---|---|---|---|",
    ]
    lines += [_row(bad.what, _command(bad.command), str(bad.code), bad.says) for bad in (*BAD_FILES, *BAD_REQUESTS)]
    lines += [
        "",
        "What is odd is used all the same, with a warning:",
        "",
        "| what is odd | command | the warning says |",
    ]
    lines += ["|---|---|---|"]
    lines += [_row(odd.what, _command(odd.command), odd.says) for odd in (*ODD_FILES, *ODD_REQUESTS)]
    return "\n".join(lines) + "\n"


def _command(command: str) -> str:
    shown = command.replace(PERSONALIZE, "PERSONALIZE").replace(SEGMENT, "SEGMENT").encode("unicode_escape").decode()
    return f"`{shown if len(shown) <= _MOST else shown[:_MOST] + '…'}`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
