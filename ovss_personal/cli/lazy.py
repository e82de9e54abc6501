"""An application whose verbs are imported when they are called: to list them, or start one, does not cost them all."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

from ovss_personal.cli.shell import new_app

_LINE = 62  # characters of a summary beside its verb, as the parser cuts them


class Entry(NamedTuple):
    """Where a verb is, and what its own help says first."""

    module: str
    summary: str


def lazy_app(help: str, verbs: Mapping[str, Entry]) -> typer.Typer:
    """An application of these verbs, in this order. A module registers its verbs itself (`register`)."""

    class Verbs(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands: Any = dict.fromkeys(verbs)  # what a misspelt verb is compared with

        def list_commands(self, ctx: Any) -> list[str]:
            return list(verbs)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in verbs:
                return None
            alone = new_app()
            import_module(f"ovss_personal.cli.{verbs[cmd_name].module}").register(alone)
            return get_group(alone).commands[cmd_name]

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, _shortened(entry.summary)) for name, entry in verbs.items()])

    app = new_app(help, cls=Verbs)
    app.callback()(_nothing)
    return app


def _nothing() -> None:
    """What an application does before its verb."""


def _shortened(summary: str) -> str:
    if len(summary) <= _LINE:
        return summary
    return f"{summary[: _LINE - 2].rpartition(' ')[0]}..."
