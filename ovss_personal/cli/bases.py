"""The verb that lists bases."""

from __future__ import annotations

import typer

from ovss_personal.cli.printing import print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, verb


def register(app: typer.Typer) -> None:
    verb(app, "bases", example="ovss-personal bases")(bases)


def bases(*, as_json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """List the bases that a concept can be learned on."""
    from ovss_personal.bases import BASES

    about = {name: line for name, (_, _, line) in BASES.items()}
    if as_json:
        print_json(about)
    else:
        for name, line in about.items():
            say(f"{name}: {line}")
