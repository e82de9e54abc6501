"""The command line as a user has it, in this process."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from ovss_personal.cli import main


class Outcome(NamedTuple):
    """What a command printed, and what it exited with."""

    code: int
    stdout: str
    stderr: str

    @property
    def facts(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.stdout)


def attempt(*arguments: str) -> Outcome:
    """Run `ovss-personal` with these arguments, whatever comes of it."""
    # The parser sets sys.excepthook, which no other test should inherit.
    with (
        patch.object(sys, "argv", ["ovss-personal", *arguments]),
        patch.object(sys, "excepthook", sys.excepthook),
        redirect_stdout(io.StringIO()) as stdout,
        redirect_stderr(io.StringIO()) as stderr,
        pytest.raises(SystemExit) as end,
    ):
        main()
    return Outcome(int(end.value.code or 0), stdout.getvalue(), stderr.getvalue())


def run(*arguments: str) -> Outcome:
    """Run `ovss-personal` with arguments that must succeed."""
    outcome = attempt(*arguments)
    assert outcome.code == 0, outcome.stderr
    return outcome
