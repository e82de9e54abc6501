"""The verb that runs the demo albums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovss_personal.cli.shell import DebugFlag, JsonFlag, print_json, verb


def register(app: typer.Typer) -> None:
    verb(app, "demo", example="ovss-personal demo --album my_mug")(demo)


def demo(
    *,
    album: Annotated[str, typer.Option(help="my_mug, my_bird or all.")] = "all",
    out: Annotated[Path, typer.Option(help="Where to put the pictures.")] = Path("out/demo"),
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Learn from the demo albums and segment what was kept back."""
    from ovss_personal.evaluation.demo import run_demo

    result = run_demo(album, out)
    if as_json:
        print_json(result)
    else:
        print(result)
