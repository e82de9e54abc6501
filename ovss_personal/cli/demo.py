"""The verb that runs the demo albums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovss_personal.cli.printing import at_once, note, print_json, say_lines
from ovss_personal.cli.shell import DEFAULT_BASE, BaseOptions, DebugFlag, JsonFlag, verb
from ovss_personal.config import BaseConfig


def register(app: typer.Typer) -> None:
    verb(app, "demo", example="ovss-personal demo --album my_mug")(demo)


def demo(
    *,
    album: Annotated[str, typer.Option(help="my_mug, my_bird or all.")] = "all",
    base: BaseOptions = DEFAULT_BASE,
    out: Annotated[Path, typer.Option(help="Where to put the pictures.")] = Path("out/demo"),
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Learn from the demo albums and segment what was kept back."""
    from dataclasses import asdict

    at_once("loading …")
    from ovss_personal.evaluation.demo import run_demo
    from ovss_personal.store.cache import ProposalCache

    results = run_demo(
        album, out, base.name or BaseConfig().base, note, ProposalCache(), {**base.trust(), **base.given}
    )
    if as_json:
        print_json({"albums": [asdict(result) for result in results]})
        return
    for result in results:
        say_lines(
            f"{result.concept}: IoU {100 * result.iou_before:.0f} (text only) -> {100 * result.iou_after:.0f} "
            f"(personalised), on {result.photos} photos; false alarms in {result.false_alarms} of the "
            f"{result.without} without it\n  pictures: {result.folder}/*.after.png"
        )
