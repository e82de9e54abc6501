"""The command line: `ovss-personal VERB …`, and `personalize …`, one of its verbs under its own name."""

from __future__ import annotations

from ovss_personal.cli import (
    bases,
    benchmark,
    cache,
    competitors,
    concepts,
    demo,
    doctor,
    evaluate,
    inspect,
    personalize,
    pss,
    segment,
    web,
    weights,
)
from ovss_personal.cli.shell import new_app, run

app = new_app("Teach an open-vocabulary segmenter your own things from one to five photos.")
_WORK = (personalize, segment, inspect, demo, benchmark, evaluate, web, pss)
_UPKEEP = (bases, weights, competitors, concepts, cache, doctor)
for module in (*_WORK, *_UPKEEP):
    module.register(app)

personalize_app = new_app()
personalize.register(personalize_app)


def main() -> None:
    """Run `ovss-personal` with the arguments of this process."""
    run(app, "ovss-personal")


def personalize_main() -> None:
    """Run `personalize` with the arguments of this process."""
    run(personalize_app, "personalize")
