"""The verbs over saved concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ovss_personal.cli.personalize import print_shots, summary
from ovss_personal.cli.printing import print_json, say
from ovss_personal.cli.shell import DebugFlag, JsonFlag, new_app, verb
from ovss_personal.errors import OvssError, counted


def register(app: typer.Typer) -> None:
    group = new_app("The concepts that were learned and saved.")
    verb(group, "list", example="ovss-personal concepts list concepts/")(list_concepts)
    verb(group, "show", example="ovss-personal concepts show concepts/my_bird")(show)
    app.add_typer(group, name="concepts")


def list_concepts(
    *,
    folder: Annotated[Path, typer.Argument(help="The folder that holds them.")] = Path("concepts"),
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """List the concepts in a folder, and those that cannot be loaded."""
    from ovss_personal.store.concept import Concept

    rows: list[dict[str, Any]] = []
    for config in sorted(folder.glob("*/adapter_config.json")):
        try:
            rows.append({"folder": str(config.parent), **summary(Concept.from_pretrained(config.parent))})
        except OvssError as error:
            rows.append({"folder": str(config.parent), **error.to_json()})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        if "error" in row:
            say(f"{row['folder']}: cannot be loaded: {row['error']['message']}")
        else:
            what = f"{row['concept']} ({row['class_name']})"
            say(f"{row['folder']}: {what}, {counted(len(row['shots']), 'shot')}, base {row['base']['name']}")
    if not rows:
        say(f"{folder}: no concepts")


def show(
    *,
    folder: Annotated[str, typer.Argument(help="The folder of one concept, or hf://USER/NAME.")],
    as_json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Show what is known of one concept: its base, its settings, how well it finds its shots."""
    from ovss_personal.store.concept import Concept

    concept = Concept.from_pretrained(folder)
    facts = summary(concept)
    if as_json:
        print_json(facts)
        return
    say(f"{concept.name} ({concept.class_name}) on base {concept.base_name} {concept.base_fingerprint[:12]}")
    say()
    print_shots(concept)
    say()
    say("settings: " + ", ".join(f"{name} {value}" for name, value in facts["config"].items()))
    say("losses: " + ", ".join(f"{name} {value:.4g}" for name, value in facts["losses"].items()))
